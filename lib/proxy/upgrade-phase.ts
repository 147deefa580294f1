/**
 * The phases of an upgrade, and the step of each event in each phase. A pure table: `proxy/upgrade` acts on it, and nothing else writes the phase.
 *
 *   admit → select → exchange → { exchange (next member) | relay | tunnel } → done
 *   any → done by: client gone | drained | replied by other code | error
 */
import type { RefusalStage } from '../upstream/counters.ts'

/**
 * The phases.
 * - `admit`: it needs a place among the tunnels, here and in the store of leases
 * - `select`: it has a place, and needs an upstream
 * - `exchange`: it dials one upstream, and waits for the response
 * - `relay`: the upstream did not switch, and its response is relayed to the client
 * - `tunnel`: both sides have switched; a tunnel session takes over
 * - `done`: it became no tunnel, and nothing of it is pending any more
 */
export const phases = ['admit', 'select', 'exchange', 'relay', 'tunnel', 'done'] as const

export type Phase = typeof phases[number]

/** The events by which an upgrade proceeds. */
export const progress = [
  /** It has a place among the tunnels. */
  'admitted',
  /** It has an upstream. */
  'chosen',
  /** The upstream did not respond, and there is another one to try. */
  'next',
  /** The upstream's 101 is verified, and the client has got its own. */
  'switched',
  /** The upstream responded without a switch. */
  'refused'
] as const

/** The events by which an upgrade ends without a tunnel. */
export const endings = [
  /** The client has disconnected. */
  'clientGone',
  /** A drain has ended. */
  'drained',
  /** Other code has begun a response: Fastify's handlerTimeout, or a hook. */
  'replied',
  /** A response on the client's connection has ended or was cut short. */
  'responseEnded',
  /** Before the handler ran, a hook wrote the head of a response: neither a 101 nor an error can follow. */
  'headWritten',
  /** Any other failure: a limit, no upstream, no valid response, a function that threw. */
  'failed'
] as const

export type Progress = typeof progress[number]
export type Ending = typeof endings[number]
export type UpgradeEvent = Progress | Ending

/**
 * The action at the client when an upgrade ends.
 * - `answer`: sends the error
 * - `drop`: destroys the connection
 * - `leave`: nothing, since other code answers
 * - `cut`: cuts short the response that is being relayed
 * - `complete`: nothing more, since the relayed response has ended
 */
export type Action = 'answer' | 'drop' | 'leave' | 'cut' | 'complete'

export interface Step {
  readonly to: Phase
  /** Only an ending has an action. */
  readonly action?: Action
}

/** The endings before the upstream has responded. */
const beforeAnswer: Readonly<Partial<Record<UpgradeEvent, Step>>> = {
  clientGone: { to: 'done', action: 'drop' },
  drained: { to: 'done', action: 'answer' },
  replied: { to: 'done', action: 'leave' },
  responseEnded: { to: 'done', action: 'leave' }, // the response of other code
  failed: { to: 'done', action: 'answer' }
}

const table: Readonly<Record<Phase, Readonly<Partial<Record<UpgradeEvent, Step>>>>> = {
  admit: { ...beforeAnswer, admitted: { to: 'select' }, headWritten: { to: 'done', action: 'drop' } },
  select: { ...beforeAnswer, chosen: { to: 'exchange' } },
  exchange: { ...beforeAnswer, next: { to: 'exchange' }, switched: { to: 'tunnel' }, refused: { to: 'relay' } },
  // The phase ends with the response: an event that breaks it off only cuts it.
  relay: { clientGone: { to: 'relay', action: 'cut' }, drained: { to: 'relay', action: 'cut' }, responseEnded: { to: 'done', action: 'complete' } },
  // The session handles everything else. A user's listener on the response may throw as the tunnel begins.
  tunnel: { failed: { to: 'done', action: 'drop' } },
  done: {}
}

/** Returns the step for an event in a phase; `undefined` if the event has no effect there. */
export function stepOf (phase: Phase, event: UpgradeEvent): Step | undefined {
  return table[phase][event]
}

/** The progress of the attempt at an upstream. */
export interface Attempt {
  /** True if the upgrade has a place among the tunnels of this upstream. */
  readonly hasPlace: boolean
  /** True if there was a connection. */
  readonly connected: boolean
}

/** Returns the stage at which an upgrade that ends in this phase was refused. */
export function refusalStage (phase: Exclude<Phase, 'done'>, { hasPlace, connected }: Attempt): RefusalStage {
  switch (phase) {
    case 'admit': return 'limit'
    case 'select': return 'dial'
    case 'exchange': return connected ? 'handshake' : hasPlace ? 'dial' : 'limit'
    case 'relay': return 'upstream'
    case 'tunnel': return 'handshake'
  }
}
