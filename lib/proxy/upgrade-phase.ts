/**
 * The phases of an upgrade, and what each event makes of each phase. A pure table: `proxy/upgrade` acts on it, and nothing else writes the phase.
 *
 *   admit → select → exchange → { exchange (next member) | relay | tunnel } → done
 *   any → done by: client gone | drained | replied by someone else | error
 */
import type { RefusalStage } from '../upstream/counters.ts'

/**
 * - `admit`: it asks for a place among the tunnels, here and in the store of leases
 * - `select`: it has one, and asks which upstream it goes to
 * - `exchange`: one upstream is dialled and asked
 * - `relay`: the upstream answered with something else than the switch, and the client is being sent that
 * - `tunnel`: both sides have switched; a tunnel's session has the rest of its life
 * - `done`: it became no tunnel, and nothing of it is under way any more
 */
export const phases = ['admit', 'select', 'exchange', 'relay', 'tunnel', 'done'] as const

export type Phase = typeof phases[number]

/** How it goes on. */
export const progress = [
  /** It has its place among the tunnels. */
  'admitted',
  /** An upstream is chosen. */
  'chosen',
  /** The upstream did not answer, and there is another one to ask. */
  'next',
  /** The upstream's 101 is verified, and the client has its own. */
  'switched',
  /** The upstream answered with something else. */
  'refused'
] as const

/** How it ends without a tunnel. */
export const endings = [
  /** The client has left. */
  'clientGone',
  /** A drain is over. */
  'drained',
  /** Someone else has begun a response: Fastify's handlerTimeout, or a hook. */
  'replied',
  /** A response on the client's connection has ended or has broken off. */
  'responseEnded',
  /** Before the handler ran, a hook wrote the head of a response: neither a 101 nor an error can follow. */
  'headWritten',
  /** Anything else: a limit, no upstream, no valid answer, a function that threw. */
  'failed'
] as const

export type Progress = typeof progress[number]
export type Ending = typeof endings[number]
export type UpgradeEvent = Progress | Ending

/**
 * What an ending does at the client.
 * - `answer`: sends the error
 * - `drop`: destroys the connection
 * - `leave`: nothing, since someone else answers
 * - `cut`: breaks off the response that is being relayed
 * - `complete`: nothing more, since the relayed response has ended
 */
export type Action = 'answer' | 'drop' | 'leave' | 'cut' | 'complete'

export interface Step {
  readonly to: Phase
  /** Only an ending has one. */
  readonly action?: Action
}

/** What ends it before there is an answer of the upstream's. */
const beforeAnswer: Readonly<Partial<Record<UpgradeEvent, Step>>> = {
  clientGone: { to: 'done', action: 'drop' },
  drained: { to: 'done', action: 'answer' },
  replied: { to: 'done', action: 'leave' },
  responseEnded: { to: 'done', action: 'leave' }, // it was not ours
  failed: { to: 'done', action: 'answer' }
}

const table: Readonly<Record<Phase, Readonly<Partial<Record<UpgradeEvent, Step>>>>> = {
  admit: { ...beforeAnswer, admitted: { to: 'select' }, headWritten: { to: 'done', action: 'drop' } },
  select: { ...beforeAnswer, chosen: { to: 'exchange' } },
  exchange: { ...beforeAnswer, next: { to: 'exchange' }, switched: { to: 'tunnel' }, refused: { to: 'relay' } },
  // It ends with its response: what breaks that off does no more.
  relay: { clientGone: { to: 'relay', action: 'cut' }, drained: { to: 'relay', action: 'cut' }, responseEnded: { to: 'done', action: 'complete' } },
  // All else is the session's. A listener of the user's on the response may throw as it begins.
  tunnel: { failed: { to: 'done', action: 'drop' } },
  done: {}
}

/** What an event makes of a phase; `undefined` if it means nothing there. */
export function stepOf (phase: Phase, event: UpgradeEvent): Step | undefined {
  return table[phase][event]
}

/** How far the attempt at an upstream has come. */
export interface Attempt {
  /** Whether the upgrade has a place among the tunnels of this upstream. */
  readonly hasPlace: boolean
  /** Whether a connection stood. */
  readonly connected: boolean
}

/** At which stage an upgrade that ends in this phase was refused. */
export function refusalStage (phase: Exclude<Phase, 'done'>, { hasPlace, connected }: Attempt): RefusalStage {
  switch (phase) {
    case 'admit': return 'limit'
    case 'select': return 'dial'
    case 'exchange': return connected ? 'handshake' : hasPlace ? 'dial' : 'limit'
    case 'relay': return 'upstream'
    case 'tunnel': return 'handshake'
  }
}
