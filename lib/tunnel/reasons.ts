/** The reasons why a tunnel ends, and the timers behind four of them. */

/** The reasons why a tunnel ends. */
export const tunnelReasons = [
  'client_close', 'upstream_close', 'client_reset', 'upstream_reset', 'idle_timeout', 'half_close_timeout',
  'max_lifetime', 'stalled', 'drained', 'killed', 'error'
] as const

/**
 * Why a tunnel ended. `client_close`, `upstream_close`: that side ended first, with a FIN or a Close frame. `…_reset`: that side reset the
 * connection. `idle_timeout`, `half_close_timeout`, `max_lifetime`: the option of that name. `stalled`: `stallTimeout`. `drained`:
 * `close()` or `drain()`. `killed`: `tunnel.close()`. `error`: any other cause, such as a broken TLS record.
 */
export type TunnelReason = typeof tunnelReasons[number]

/** The timers of a tunnel, in milliseconds; 0 is none. */
export interface TunnelTimers {
  /** The time without a byte in either direction. */
  readonly idle: number
  /** The time since one side ended, if the other has not. */
  readonly halfClose: number
  /** The time since the switch. */
  readonly lifetime: number
  /** The time for which bytes have waited for a side that drains none of them. */
  readonly stall: number
}
