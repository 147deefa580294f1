/**
 * How a balancer chooses one of its members (httpd: `lbmethod`). A policy is a pure function of what is asked of it, the
 * members that may be chosen, and of a source of chance; it changes nothing and allocates nothing.
 */

/** A member as a policy sees it. */
export interface Candidate {
  /** Its URL; never credentials. */
  readonly url: string
  /** What sticky sessions know it by. */
  readonly route: string | undefined
  /** The load factor, less while a member comes back (`slowStart`). Above 0. */
  readonly weight: number
  /** Live tunnels, upgrades under way and requests. */
  readonly busy: number
  /** Bytes both ways since it joined, those of tunnels included. */
  readonly traffic: number
  /** Where `byrequests` stands with it: see `advance`. 0 for a member that joins. */
  lbStatus: number
  /** 32 bits of what it is known by (`hash32`), for `hash`. */
  readonly seed: number
}

/** What a policy may ask for. */
export interface PolicyContext {
  /** In [0, 1). */
  random (): number
  /** What `hash` goes by. */
  key (): string
}

/** Chooses one of at least one candidate. Changes nothing. */
export type Policy = (candidates: readonly Candidate[], context: PolicyContext) => Candidate

/**
 * - `byrequests` (httpd's `lbmethod_byrequests`): in turn, as often as the weights say, spread evenly.
 * - `bytraffic`: the fewest bytes for its weight. Equal ones: in turn.
 * - `bybusyness`: the least busy for its weight, where httpd leaves the weight aside. Equal ones: in turn.
 * - `random`, also named `p2c`: of two that are drawn by weight, the less busy for its weight; of equal ones the first drawn.
 * - `hash`: the same key goes to the same member. One that joins or leaves moves only its own share of the keys, on every
 *   server alike, whatever the order of the members (weighted rendezvous hashing: Thaler and Ravishankar, 1998).
 */
export const policies: Readonly<Record<'byrequests' | 'bytraffic' | 'bybusyness' | 'random' | 'p2c' | 'hash', Policy>> = Object.freeze({
  byrequests: (candidates: readonly Candidate[]) => least(candidates, () => 0),
  bytraffic: (candidates: readonly Candidate[]) => least(candidates, ({ traffic }) => traffic),
  bybusyness: (candidates: readonly Candidate[]) => least(candidates, ({ busy }) => busy),
  random: ofTwo,
  p2c: ofTwo,
  hash
})

/**
 * The weight in whole hundredths, the rest cut off as httpd does: sums are exact, so that equals stay equal and weights with
 * decimals give the same sequence.
 */
function share (candidate: Candidate): number {
  return Math.trunc(candidate.weight * 100) || 1
}

/** The one with the least load for its weight; of equals, the one whose turn it is; of equals, the first. */
function least (candidates: readonly Candidate[], load: (candidate: Candidate) => number): Candidate {
  let best = candidates[0] as Candidate
  let lowest = Infinity
  let turn = -Infinity
  for (const candidate of candidates) {
    const part = share(candidate)
    const its = load(candidate) / part
    if (its > lowest) continue
    const itsTurn = candidate.lbStatus + part
    if (its === lowest && itsTurn <= turn) continue
    best = candidate
    lowest = its
    turn = itsTurn
  }
  return best
}

/** The power of two choices (Mitzenmacher, 2001): as good as the least busy, without all servers running to the same one. */
function ofTwo (candidates: readonly Candidate[], context: PolicyContext): Candidate {
  let sum = 0
  for (const candidate of candidates) sum += candidate.weight
  const first = draw(candidates, context.random() * sum, undefined)
  if (candidates.length === 1) return first
  const second = draw(candidates, context.random() * (sum - first.weight), first)
  return second.busy / share(second) < first.busy / share(first) ? second : first
}

/** The candidate, other than `except`, in whose stretch of the sum of weights `point` lies. */
function draw (candidates: readonly Candidate[], point: number, except: Candidate | undefined): Candidate {
  let left = point
  let drawn = candidates[0] as Candidate
  for (const candidate of candidates) {
    if (candidate === except) continue
    drawn = candidate // the last one, where rounding left nothing of the sum
    left -= candidate.weight
    if (left < 0) break
  }
  return drawn
}

/** Of the numbers u in (0, 1) that key and member make together, the least -ln(u) / weight. */
function hash (candidates: readonly Candidate[], context: PolicyContext): Candidate {
  const key = hash32(context.key())
  let best = candidates[0] as Candidate
  let lowest = Infinity
  for (const candidate of candidates) {
    const u = ((mix(key ^ candidate.seed) >>> 0) + 0.5) / 2 ** 32
    if (1 - u >= lowest * candidate.weight) continue // -ln(u) is at least 1 - u: this saves most logarithms
    const score = -Math.log(u) / candidate.weight
    if (score >= lowest) continue
    best = candidate
    lowest = score
  }
  return best
}

/**
 * The bookkeeping of smooth weighted round robin, after every choice by whatever policy: every candidate gains its
 * weight, the chosen one pays the sum (in hundredths of a weight). What a policy that goes by other things has let
 * grow is cut off at 16 rounds: else a member that a long tunnel kept away would afterwards be taken for as many times as
 * it was passed over. By turns alone, none comes near that; by sessions (`stickySession`) it may.
 */
export function advance (candidates: readonly Candidate[], chosen: Candidate): void {
  let sum = 0
  let highest = 0
  for (const candidate of candidates) {
    const its = share(candidate)
    sum += its
    candidate.lbStatus += its
    if (candidate.lbStatus > highest) highest = candidate.lbStatus
  }
  const most = 16 * sum
  chosen.lbStatus = Math.max(chosen.lbStatus - sum, -most)
  if (highest <= most) return
  for (const candidate of candidates) candidate.lbStatus = Math.min(candidate.lbStatus, most)
}

/**
 * 32 bits of a text, signed, as V8 keeps them without a box: FNV-1a over its UTF-16 code units, mixed. The same on every
 * machine; with no secret in it, it is no protection from a client that picks its key.
 */
export function hash32 (text: string): number {
  let h = 0x811c9dc5
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  return mix(h)
}

/** Spreads every bit over all 32 (MurmurHash3's finaliser); no two numbers become one. */
function mix (bits: number): number {
  let h = bits
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}
