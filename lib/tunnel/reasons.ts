/** Why a tunnel ends, and the timers behind four of the reasons. */

/** How a tunnel can end. */
export const tunnelReasons = [
  'client_close', 'upstream_close', 'client_reset', 'upstream_reset', 'idle_timeout', 'half_close_timeout',
  'max_lifetime', 'stalled', 'drained', 'killed', 'error'
] as const

/**
 * Why a tunnel ended. `client_close`, `upstream_close`: that side ended first, in good order. `…_reset`: it reset the
 * connection. `idle_timeout`, `half_close_timeout`, `max_lifetime`: the option of that name. `stalled`: `stallTimeout`.
 * `drained`: `close()` or `drain()`. `killed`: `tunnel.close()`. `error`: anything else, such as a broken TLS record.
 */
export type TunnelReason = typeof tunnelReasons[number]

/** Milliseconds; 0 is none. */
export interface TunnelTimers {
  /** No byte either way. */
  readonly idle: number
  /** One side has ended, the other has not. */
  readonly halfClose: number
  /** Since the switch, whatever happens. */
  readonly lifetime: number
  /** A side with bytes waiting has drained none of them. */
  readonly stall: number
}
