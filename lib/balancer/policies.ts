/**
 * The policies by which a balancer chooses one of its members (httpd: `lbmethod`). A policy is a pure function of the candidates, the key
 * and a source of random numbers; it changes nothing and allocates nothing.
 */

/** A member, as a policy sees it. */
export interface Candidate {
  /** Its URL; never credentials. */
  readonly url: string
  /** The route by which sticky sessions name it. */
  readonly route: string | undefined
  /** The load factor, reduced while a member comes back (`slowStart`). Above 0. */
  readonly weight: number
  /** The number of live tunnels, upgrades in flight and requests. */
  readonly busy: number
  /** The bytes in both directions since it joined, those of tunnels included. */
  readonly traffic: number
  /** The state of `byrequests` for this member: see `advance`. 0 for a member that joins. */
  lbStatus: number
  /** A hash of its URL in 32 bits (`hash32`), for `hash`. */
  readonly seed: number
}

/** The values that a policy may read. */
export interface PolicyContext {
  /** Returns a random number in [0, 1). */
  random (): number
  /** Returns the key of `hash`. */
  key (): string
}

/** A function that chooses one of at least one candidate, and changes nothing. */
export type Policy = (candidates: readonly Candidate[], context: PolicyContext) => Candidate

/**
 * - `byrequests` (httpd's `lbmethod_byrequests`): in turn, as often as the weights say, spread evenly.
 * - `bytraffic`: the fewest bytes for its weight; of equal ones, in turn.
 * - `bybusyness`: the least busy for its weight (httpd ignores the weight); of equal ones, in turn.
 * - `random`, also named `p2c`: draws two by weight and takes the less busy for its weight; of equal ones, the first drawn.
 * - `hash`: the same key goes to the same member. A member that joins or leaves moves only its own share of the keys, equally on every
 * server, whatever the order of the members (weighted rendezvous hashing: Thaler and Ravishankar, 1998).
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
 * Returns the weight in whole hundredths, truncated as in httpd: sums are exact, so that equal loads stay equal and weights with decimals
 * give the same sequence.
 */
function share (candidate: Candidate): number {
  return Math.trunc(candidate.weight * 100) || 1
}

/** Returns the candidate with the least load for its weight; of equal ones, the one whose turn it is; then the first. */
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

/**
 * Returns one of two drawn candidates. The power of two choices (Mitzenmacher, 2001) is as good as the least busy, but not all servers
 * choose the same member.
 */
function ofTwo (candidates: readonly Candidate[], context: PolicyContext): Candidate {
  let sum = 0
  for (const candidate of candidates) sum += candidate.weight
  const first = draw(candidates, context.random() * sum, undefined)
  if (candidates.length === 1) return first
  const second = draw(candidates, context.random() * (sum - first.weight), first)
  return second.busy / share(second) < first.busy / share(first) ? second : first
}

/** Returns the candidate, other than `except`, whose interval in the sum of weights contains `point`. */
function draw (candidates: readonly Candidate[], point: number, except: Candidate | undefined): Candidate {
  let left = point
  let drawn = candidates[0] as Candidate
  for (const candidate of candidates) {
    if (candidate === except) continue
    drawn = candidate // the last one, if rounding left a remainder
    left -= candidate.weight
    if (left < 0) break
  }
  return drawn
}

/** Returns the candidate with the least -ln(u) / weight, where u in (0, 1) is a hash of key and candidate. */
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
 * Updates the state of smooth weighted round robin after every choice, by any policy: every candidate gains its weight, the chosen one pays
 * the sum (in hundredths of a weight). A state that other policies have let grow is capped at 16 rounds: else a member that a long tunnel
 * kept away would afterwards be chosen as many times as it was passed over. Turns alone never come near the cap; sessions (`stickySession`)
 * may.
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
 * Returns a signed hash of a text in 32 bits, which V8 keeps without a box: FNV-1a over its UTF-16 code units, mixed. It is the same on
 * every machine; without a secret, it does not protect against a client that chooses its key.
 */
export function hash32 (text: string): number {
  let h = 0x811c9dc5
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  return mix(h)
}

/** Spreads every bit over all 32 (MurmurHash3's finaliser); the mapping is one-to-one. */
function mix (bits: number): number {
  let h = bits
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}
