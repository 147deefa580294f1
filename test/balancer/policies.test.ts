import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { advance, hash32, policies } from '../../lib/balancer/policies.ts'
import type { Candidate, Policy, PolicyContext } from '../../lib/balancer/policies.ts'

type Member = Candidate & { busy: number, traffic: number }

function member (url: string, weight: number, more: Partial<Member> = {}): Member {
  return { url, route: undefined, weight, busy: 0, traffic: 0, lbStatus: 0, seed: hash32(url), ...more }
}

/** Members named a, b, c and so on. */
function members (...weights: number[]): Member[] {
  return weights.map((weight, i) => member(i < 26 ? String.fromCharCode(97 + i) : `m${i}`, weight))
}

/** Numbers in [0, 1) from a fixed start (xorshift32), so that every run sees the same. */
function numbers (seed: number): () => number {
  let x = seed | 0
  return () => {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    return (x >>> 0) / 2 ** 32
  }
}

function context (random: () => number = numbers(1), key = ''): PolicyContext {
  return { random, key: () => key }
}

/** What is drawn, in this order; a test that draws more fails. */
function drawing (...drawn: number[]): PolicyContext {
  return context(() => drawn.shift() ?? assert.fail('nothing left to draw'))
}

function pick (policy: Policy, candidates: Member[], asked: PolicyContext = context()): Member {
  const chosen = policy(candidates, asked) as Member
  advance(candidates, chosen)
  return chosen
}

function sequence (policy: Policy, candidates: Member[], picks: number): string {
  return Array.from({ length: picks }, () => pick(policy, candidates).url).join('')
}

/** How often each was chosen over 100,000 picks, as a part of what its weight gives it. */
function shares (candidates: Member[], choose: (i: number) => Candidate): number[] {
  const picks = 100_000
  const chosen = new Map<Candidate, number>()
  for (let i = 0; i < picks; i++) {
    const one = choose(i)
    chosen.set(one, (chosen.get(one) ?? 0) + 1)
  }
  const sum = candidates.reduce((total, { weight }) => total + weight, 0)
  return candidates.map((one) => (chosen.get(one) ?? 0) / (picks * one.weight / sum))
}

function assertWithin (parts: number[], tolerance: number): void {
  assert.ok(parts.every((part) => Math.abs(part - 1) <= tolerance), parts.map((part) => part.toFixed(4)).join(' '))
}

describe('byrequests', () => {
  for (const [weights, expected] of [
    [[1], 'aaaa'],
    [[1, 1], 'abababab'],
    [[1, 1, 1], 'abcabcabc'],
    [[3, 1], 'aabaaabaaaba'],
    [[1, 3], 'babbbabb'],
    [[5, 1, 1], 'aabacaaaabacaa'],
    [[1.5, 1, 0.5], 'abacbaabacba'],
    [[0.3, 0.1], 'aabaaaba'],
    [[3.009, 1.001], 'aabaaaba'],
    [[100, 50], 'abaabaaba'],
    [[0.1, 0.1, 0.1], 'abcabcabcabcabcabc']
  ] as const) {
    test(`weights ${weights.join(', ')}: ${expected}`, () => {
      assert.equal(sequence(policies.byrequests, members(...weights), expected.length), expected)
    })
  }

  test('goes on from where it stands when a member leaves and comes back', () => {
    const [a, b, c] = members(1, 1, 1) as [Member, Member, Member]
    const chosen = [[a, b, c], [a, c], [a, b, c], [a, b, c], [a, b, c], [a, b]].map((set) => pick(policies.byrequests, set).url)
    assert.equal(chosen.join(''), 'acbcab')
  })

  test('a member that joins takes its turn at once and no more than its part', () => {
    const [a, b] = members(1, 1) as [Member, Member]
    assert.equal(sequence(policies.byrequests, [a, b], 5), 'ababa')
    assert.equal(sequence(policies.byrequests, [a, b, member('n', 2)], 8), 'bnanbnan')
  })

  test('a weight that changes counts from the next choice', () => {
    const [a, b] = members(1, 1) as [Member, Member]
    assert.equal(sequence(policies.byrequests, [a, b], 4), 'abab')
    const heavier = { ...a, weight: 3 }
    assert.equal(sequence(policies.byrequests, [heavier, b], 8), 'aabaaaba')
  })

  // httpd's find_best_byrequests, without a bound on the status, in its hundredths: of 4.06 it takes 405, as a double has it.
  test('chooses as httpd does, 1,000 times, of any members with any load factors', () => {
    fc.assert(fc.property(fc.array(fc.integer({ min: 100, max: 10_000 }), { minLength: 1, maxLength: 100 }), (hundredths) => {
      const candidates = members(...hundredths.map((factor) => factor / 100))
      const factors = hundredths.map((factor) => Math.trunc(factor / 100 * 100))
      const statuses = factors.map(() => 0)
      const total = factors.reduce((sum, factor) => sum + factor, 0)
      for (let i = 0; i < 1000; i++) {
        let best = 0
        for (const [at, factor] of factors.entries()) {
          statuses[at] = (statuses[at] as number) + factor
          if ((statuses[at] as number) > (statuses[best] as number)) best = at
        }
        statuses[best] = (statuses[best] as number) - total
        assert.equal(pick(policies.byrequests, candidates), candidates[best])
      }
    }), { seed: 6, numRuns: 60 })
  })

  test('100,000 choices follow the weights', () => {
    for (const weights of [[1, 1, 1], [4, 3, 2, 1], [1.5, 1, 0.25], Array.from({ length: 100 }, (_, i) => 1 + i / 10)]) {
      const candidates = members(...weights)
      assertWithin(shares(candidates, () => pick(policies.byrequests, candidates)), 0.02)
    }
  })
})

describe('bybusyness', () => {
  test('the least busy, whoever is first', () => {
    assert.equal(policies.bybusyness([member('a', 1, { busy: 2 }), member('b', 1, { busy: 1 }), member('c', 1, { busy: 3 })], context()).url, 'b')
  })

  test('for its weight', () => {
    assert.equal(policies.bybusyness([member('a', 1, { busy: 2 }), member('b', 3, { busy: 5 })], context()).url, 'b')
    assert.equal(policies.bybusyness([member('a', 1, { busy: 1 }), member('b', 0.5, { busy: 1 })], context()).url, 'a')
  })

  test('of equals the one whose turn it is: an idle set is served as by byrequests', () => {
    assert.equal(sequence(policies.bybusyness, members(3, 1), 12), 'aabaaabaaaba')
    const equal = [member('a', 0.1, { busy: 1 }), member('b', 0.3, { busy: 3 })]
    assert.equal(sequence(policies.bybusyness, equal, 8), 'babbbabb')
  })

  test('ended tunnels make room', () => {
    const [a, b] = members(1, 1) as [Member, Member]
    for (let i = 0; i < 4; i++) pick(policies.bybusyness, [a, b]).busy++
    b.busy = 0
    assert.equal([0, 1].map(() => {
      const chosen = pick(policies.bybusyness, [a, b])
      chosen.busy++
      return chosen.url
    }).join(''), 'bb')
  })

  test('100,000 choices of which each lasts for a random time follow the weights', () => {
    for (const weights of [[1, 1, 1], [4, 3, 2, 1], [1.5, 1, 0.5]]) {
      const candidates = members(...weights)
      const random = numbers(7)
      const ending = new Map<number, Member[]>()
      assertWithin(shares(candidates, (i) => {
        for (const ended of ending.get(i) ?? []) ended.busy--
        ending.delete(i)
        const chosen = pick(policies.bybusyness, candidates)
        chosen.busy++
        const end = i + 1 + Math.floor(random() * 1000)
        ending.set(end, [...ending.get(end) ?? [], chosen])
        return chosen
      }), 0.02)
    }
  })

  test('a member that was passed over for long is not made to pay it back for as long', () => {
    const [a, b] = members(1, 1) as [Member, Member]
    a.busy = 1
    assert.equal(sequence(policies.bybusyness, [a, b], 10_000), 'b'.repeat(10_000))
    a.busy = 0
    assert.match(sequence(policies.bybusyness, [a, b], 100), /^a{30,34}(ba){30,}b?$/)
  })
})

describe('bytraffic', () => {
  test('the fewest bytes for its weight', () => {
    assert.equal(policies.bytraffic([member('a', 1, { traffic: 300 }), member('b', 1, { traffic: 200 }), member('c', 2, { traffic: 500 })], context()).url, 'b')
    assert.equal(policies.bytraffic([member('a', 1, { traffic: 300 }), member('b', 1, { traffic: 200 }), member('c', 2, { traffic: 300 })], context()).url, 'c')
  })

  test('of equals the one whose turn it is', () => {
    assert.equal(sequence(policies.bytraffic, members(1, 1, 1), 6), 'abcabc')
    assert.equal(sequence(policies.bytraffic, [member('a', 0.1, { traffic: 1e9 }), member('b', 0.3, { traffic: 3e9 })], 8), 'babbbabb')
  })

  test('bytes follow the weights', () => {
    const candidates = members(4, 3, 2, 1)
    const random = numbers(3)
    for (let i = 0; i < 100_000; i++) pick(policies.bytraffic, candidates).traffic += Math.ceil(random() * 10_000)
    const sum = candidates.reduce((total, { traffic }) => total + traffic, 0)
    assertWithin(candidates.map(({ traffic, weight }) => traffic / (sum * weight / 10)), 0.02)
  })
})

describe('random', () => {
  test('is p2c', () => assert.equal(policies.random, policies.p2c))

  test('the only member is drawn', () => assert.equal(policies.random(members(2), drawing(0.5)).url, 'a'))

  for (const [drawn, expected] of [
    [[0, 0], 'a'], [[0.49, 0], 'a'], [[0.5, 0], 'b'], [[0.74, 0], 'b'], [[0.75, 0], 'c'], [[1 - 2 ** -53, 0], 'c']
  ] as const) {
    test(`of equals the first drawn, by weights 2, 1, 1: ${drawn[0]} is ${expected}`, () => {
      assert.equal(policies.random(members(2, 1, 1), drawing(...drawn)).url, expected)
    })
  }

  for (const [drawn, expected] of [
    [[0, 0], 'b'], [[0, 0.49], 'b'], [[0, 0.5], 'c'], [[0.5, 0.66], 'b'], [[0.5, 0.67], 'c'], [[0.75, 0], 'c'], [[0.75, 0.67], 'c']
  ] as const) {
    test(`of two the less busy, and the second is another one: ${drawn.join(', ')} is ${expected}`, () => {
      const [a, b, c] = members(2, 1, 1) as [Member, Member, Member]
      a.busy = 6 // 3 for its weight
      b.busy = 2
      c.busy = 1
      assert.equal(policies.random([a, b, c], drawing(...drawn)).url, expected)
    })
  }

  test('the busiest of all is never chosen', () => {
    const candidates = members(5, 1, 1).map((one, i) => ({ ...one, busy: i === 0 ? 100 : 1 }))
    const asked = context(numbers(11))
    for (let i = 0; i < 10_000; i++) assert.notEqual(policies.random(candidates, asked), candidates[0])
  })

  test('100,000 choices follow the weights, idle and under load', () => {
    const asked = context(numbers(5))
    for (const weights of [[1, 1, 1], [4, 3, 2, 1]]) {
      const idle = members(...weights)
      assertWithin(shares(idle, () => pick(policies.random, idle, asked)), 0.02)
      const loaded = members(...weights)
      const lasting: Member[] = []
      assertWithin(shares(loaded, () => {
        if (lasting.length === 500) (lasting.splice(Math.floor(asked.random() * 500), 1)[0] as Member).busy--
        const chosen = pick(policies.random, loaded, asked)
        chosen.busy++
        lasting.push(chosen)
        return chosen
      }), 0.02)
    }
  })
})

describe('hash', () => {
  const keys = Array.from({ length: 2000 }, (_, i) => `192.0.${i >> 8}.${i & 255}`)
  const indices = keys.map((_, i) => i)
  const assign = (candidates: readonly Candidate[]): string[] =>
    keys.map((key) => policies.hash(candidates, context(undefined, key)).url)
  const moved = (before: string[], after: string[]): number[] => indices.filter((i) => before[i] !== after[i])
  const urls = fc.uniqueArray(fc.integer({ min: 0, max: 255 }), { minLength: 2, maxLength: 30 })
    .map((hosts) => hosts.map((host) => `ws://10.0.0.${host}:9080`))
  const runs = { seed: 9, numRuns: 60 }

  test('the same key goes to the same member, in whatever order they stand', () => {
    fc.assert(fc.property(urls, (all) => {
      const candidates = all.map((url) => member(url, 1))
      assert.deepEqual(assign(candidates), assign(candidates.toReversed()))
    }), runs)
  })

  test('what the load is and how often it was chosen do not matter', () => {
    const candidates = members(1, 2, 3)
    const before = assign(candidates)
    for (const one of candidates) Object.assign(one, { busy: 99, traffic: 1e9, lbStatus: -1e6 })
    assert.deepEqual(assign(candidates), before)
  })

  test('a member that joins takes at most 1/n + 5 % of the keys, one that leaves gives only its own', () => {
    fc.assert(fc.property(urls, fc.nat(), (all, at) => {
      const candidates = all.map((url) => member(url, 1))
      const one = candidates[at % candidates.length] as Member
      const more = assign(candidates)
      const fewer = assign(candidates.filter((other) => other !== one))
      const changed = moved(fewer, more)
      assert.ok(changed.length > 0 && changed.length <= keys.length * (1 / candidates.length + 0.05), `${changed.length} of ${candidates.length}`)
      assert.deepEqual(changed, indices.filter((i) => more[i] === one.url))
    }), runs)
  })

  test('with weights: at most its part of the weights + 5 %; one that gets heavier only gains', () => {
    fc.assert(fc.property(urls, fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 30, maxLength: 30 }), (all, tenths) => {
      const candidates = all.map((url, i) => member(url, (tenths[i] as number) / 10))
      const one = candidates[0] as Member
      const sum = candidates.reduce((total, { weight }) => total + weight, 0)
      const more = assign(candidates)
      const fewer = assign(candidates.slice(1))
      const changed = moved(fewer, more)
      assert.ok(changed.length <= keys.length * (one.weight / sum + 0.05), `${changed.length}, ${one.weight} of ${sum}`)
      assert.ok(changed.every((i) => more[i] === one.url))
      const heavier = assign([{ ...one, weight: one.weight * 2 }, ...candidates.slice(1)])
      assert.ok(moved(more, heavier).every((i) => heavier[i] === one.url))
    }), runs)
  })

  test('100,000 keys follow the weights', () => {
    for (const weights of [[1, 1, 1], [4, 3, 2, 1], [1.5, 1, 0.5]]) {
      const candidates = members(...weights)
      assertWithin(shares(candidates, (i) => policies.hash(candidates, context(undefined, `session-${i}`))), 0.02)
    }
  })
})

describe('every policy', () => {
  const candidate = fc.record({
    weight: fc.integer({ min: 1, max: 10_000 }).map((hundredths) => hundredths / 100),
    busy: fc.integer({ min: 0, max: 1000 }),
    traffic: fc.integer({ min: 0, max: 2 ** 50 }),
    lbStatus: fc.integer({ min: -1e9, max: 1e9 }),
    seed: fc.integer({ min: 0, max: 2 ** 32 - 1 })
  })

  for (const [name, policy] of Object.entries(policies)) {
    test(`${name} chooses one of those that it was given and changes nothing`, () => {
      const candidatesGiven = fc.array(candidate, { minLength: 1, maxLength: 20 })
      const fraction = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
      fc.assert(fc.property(candidatesGiven, fraction, fc.string(), (given, random, key) => {
        const candidates = Object.freeze(given.map((one, i) => Object.freeze({ ...one, url: `${i}`, route: undefined })))
        assert.ok(candidates.includes(policy(candidates, context(() => random, key)) as typeof candidates[number]))
      }), { seed: 4 })
    })
  }
})

describe('advance', () => {
  test('adds each weight and takes the sum from the chosen one', () => {
    const candidates = members(3, 0.5, 1)
    advance(candidates, candidates[2] as Member)
    assert.deepEqual(candidates.map(({ lbStatus }) => lbStatus), [300, 50, -350])
  })

  test('nobody gains or owes more than 16 rounds', () => {
    const candidates = members(1, 1, 1)
    for (let i = 0; i < 1000; i++) advance(candidates, candidates[0] as Member)
    assert.deepEqual(candidates.map(({ lbStatus }) => lbStatus), [-4800, 4800, 4800])
  })
})

describe('hash32', () => {
  test('is 32 bits, and the same on every machine', () => {
    assert.deepEqual(
      ['', 'a', 'ws://10.0.0.1:9080', '\u00e9\u4e2d'].map(hash32),
      [2_872_998_923, 444_641_715, 40_998_348, 3_851_772_119].map((bits) => bits | 0)
    )
  })

  test('spreads texts that differ in one character', () => {
    const buckets = new Array<number>(64).fill(0)
    for (let i = 0; i < 64_000; i++) {
      const at = hash32(`client-${i}`) >>> 26
      buckets[at] = (buckets[at] as number) + 1
    }
    const chiSquare = buckets.reduce((sum, found) => sum + (found - 1000) ** 2 / 1000, 0)
    assert.ok(chiSquare < 110, `${chiSquare}`) // 63 degrees of freedom: 99.98 % of random ones are below
  })
})
