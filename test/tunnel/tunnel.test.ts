import assert from 'node:assert/strict'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { monotonicNow } from '../../lib/net/clock.ts'
import { Tunnel } from '../../lib/tunnel/tunnel.ts'
import type { Ending, TunnelEnds } from '../../lib/tunnel/tunnel.ts'
import type { TunnelTimers } from '../../lib/tunnel/reasons.ts'
import { closeFrame, FrameTracker } from '../../lib/tunnel/websocket-frames.ts'
import { encodeFrame } from '../fixtures/frames.ts'
import { deferred, event, until, within } from '../fixtures/wait.ts'

const noTimers: TunnelTimers = { idle: 0, halfClose: 0, lifetime: 0, stall: 0 }

/** One end in memory: what is written to it is kept, and let through only when `hold` is false. */
class End extends Duplex {
  written: Buffer[] = []
  /** The other side has ended this one. */
  finished = false
  hold = false
  #held: (() => void) | undefined = undefined

  constructor (highWaterMark = 64) {
    super({ highWaterMark, allowHalfOpen: true, autoDestroy: true })
  }

  get text (): string {
    return Buffer.concat(this.written).toString('latin1')
  }

  /** Arrives from this side's peer. */
  arrive (data: string | Buffer): boolean {
    return this.push(typeof data === 'string' ? Buffer.from(data, 'latin1') : data)
  }

  /** Lets one held write through. */
  drainOne (): boolean {
    const held = this.#held
    this.#held = undefined
    held?.()
    return held !== undefined
  }

  release (): void {
    this.hold = false
    this.drainOne()
  }

  override _read (): void {}

  override _write (chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    const done = (): void => {
      this.written.push(chunk)
      callback()
    }
    if (this.hold) this.#held = done
    else done()
  }

  override _final (callback: () => void): void {
    this.finished = true
    callback()
  }
}

interface Rig {
  tunnel: Tunnel
  client: End
  upstream: End
  endings: Ending[]
  ended: Promise<Ending>
}

interface RigOptions {
  timers?: Partial<TunnelTimers>
  ends?: Partial<TunnelEnds>
  now?: number
  early?: [client: Buffer | undefined, upstream: Buffer | undefined]
}

/** A tunnel between two ends in memory. */
function rig ({ timers, ends, now = 0, early = [undefined, undefined] }: RigOptions = {}): Rig {
  const client = new End()
  const upstream = new End()
  const { endings, ended, owner } = recordEnding()
  const tunnel = new Tunnel({ client, upstream, ...ends }, { ...noTimers, ...timers }, owner, now)
  tunnel.start(...early)
  return { tunnel, client, upstream, endings, ended }
}

function recordEnding (): { endings: Ending[], ended: Promise<Ending>, owner: { tunnelEnded: (ending: Ending) => void } } {
  const endings: Ending[] = []
  const first = deferred<Ending>()
  return {
    endings,
    ended: first.promise,
    owner: {
      tunnelEnded (ending) {
        endings.push(ending)
        first.resolve(ending)
      }
    }
  }
}

/** Lets everything happen that needs no more input. */
async function settle (): Promise<void> {
  for (let i = 0; i < 5; i++) await nextTurn()
}

/** The ending, once both streams are closed; and that it stays the only one. */
async function endingOf ({ ended, endings, client, upstream }: Rig): Promise<Ending> {
  const ending = await within(ended, 'the end of the tunnel')
  assert.ok(client.destroyed && upstream.destroyed, 'both streams are gone')
  client.emit('error', new Error('late'))
  upstream.emit('error', new Error('late'))
  await settle()
  assert.equal(endings.length, 1)
  return ending
}

describe('bytes', () => {
  test('go both ways, in order, and are counted', async () => {
    const { tunnel, client, upstream } = rig()
    client.arrive('one')
    upstream.arrive('eins')
    client.arrive('two')
    await settle()
    assert.equal(upstream.text, 'onetwo')
    assert.equal(client.text, 'eins')
    assert.equal(tunnel.client.bytes, 6)
    assert.equal(tunnel.upstream.bytes, 4)
    tunnel.kill('killed')
  })
  test('that came early go first, and are counted', async () => {
    const { tunnel, client, upstream } = rig({ early: [Buffer.from('early '), Buffer.from('früh ', 'latin1')] })
    client.arrive('late')
    upstream.arrive('spät')
    await settle()
    assert.equal(upstream.text, 'early late')
    assert.equal(client.text, 'früh spät')
    assert.equal(tunnel.client.bytes, 10)
    assert.equal(tunnel.upstream.bytes, 9)
    tunnel.kill('killed')
  })
  test('that came early, none of them', async () => {
    const { tunnel, client, upstream } = rig({ early: [Buffer.alloc(0), undefined] })
    await settle()
    assert.deepEqual([client.written, upstream.written], [[], []])
    tunnel.kill('killed')
  })
  test('are the same buffers, not copies', async () => {
    const { tunnel, client, upstream } = rig()
    const chunk = Buffer.from('chunk')
    client.arrive(chunk)
    await settle()
    assert.equal(upstream.written[0], chunk)
    tunnel.kill('killed')
  })
})

describe('a slow reader', () => {
  for (const [from, to] of [['client', 'upstream'], ['upstream', 'client']] as const) {
    test(`of what the ${from} sends holds that side up, and only that`, async () => {
      const made = rig()
      const source = made[from]
      const sink = made[to]
      sink.hold = true
      for (let i = 0; i < 100; i++) source.arrive(Buffer.alloc(32, i))
      await settle()
      assert.ok(source.isPaused())
      assert.ok(sink.writableLength <= 64 + 32, `${sink.writableLength} bytes wait to be written`)
      assert.equal(made.tunnel[from].bytes, sink.writableLength)
      sink.arrive('the other way')
      await settle()
      assert.equal(source.text, 'the other way')

      sink.release()
      await until(() => sink.text.length === 3200, 'everything')
      assert.deepEqual(Buffer.concat(sink.written), Buffer.concat(Array.from({ length: 100 }, (_, i) => Buffer.alloc(32, i))))
      assert.equal(source.isPaused(), false)
      made.tunnel.kill('killed')
    })
    test(`is not asked for more before it has drained (${from})`, async () => {
      const made = rig()
      const source = made[from]
      const sink = made[to]
      sink.hold = true
      for (let i = 0; i < 8; i++) source.arrive(Buffer.alloc(32))
      await settle()
      const counted = made.tunnel[from].bytes
      sink.drainOne()
      await settle()
      assert.equal(made.tunnel[from].bytes, counted)
      assert.ok(source.isPaused())
      sink.release()
      await until(() => made.tunnel[from].bytes === 256, 'the rest')
      made.tunnel.kill('killed')
    })
    test(`that was slow about the early bytes already (${from})`, async () => {
      const client = new End()
      const upstream = new End()
      const ends = { client, upstream }
      ends[to].hold = true
      const { owner } = recordEnding()
      const tunnel = new Tunnel(ends, noTimers, owner, 0)
      const early = Buffer.alloc(100)
      tunnel.start(from === 'client' ? early : undefined, from === 'upstream' ? early : undefined)
      ends[from].arrive('more')
      await settle()
      assert.equal(tunnel[from].bytes, 100)
      ends[to].release()
      await until(() => tunnel[from].bytes === 104, 'the rest')
      tunnel.kill('killed')
    })
  }
  test('both ways at once', async () => {
    const { tunnel, client, upstream } = rig()
    client.hold = upstream.hold = true
    for (let i = 0; i < 20; i++) {
      client.arrive(Buffer.alloc(32))
      upstream.arrive(Buffer.alloc(32))
    }
    await settle()
    assert.ok(client.isPaused() && upstream.isPaused())
    client.release()
    upstream.release()
    await until(() => client.text.length === 640 && upstream.text.length === 640, 'everything')
    tunnel.kill('killed')
  })
})

describe('half-close', () => {
  for (const [first, second] of [['client', 'upstream'], ['upstream', 'client']] as const) {
    test(`of the ${first} is passed on, and the other direction goes on`, async () => {
      const made = rig()
      made[first].arrive('last words')
      made[first].push(null)
      await settle()
      assert.equal(made[second].text, 'last words')
      assert.equal(made[second].finished, true)
      assert.equal(made[first].finished, false)
      assert.deepEqual(made.endings, [])

      made[second].arrive('the answer')
      await settle()
      assert.equal(made[first].text, 'the answer')
      assert.deepEqual(made.endings, [])

      made[second].push(null)
      assert.deepEqual(await endingOf(made), { reason: `${first}_close`, by: first, error: undefined })
      assert.equal(made[first].finished, true)
    })
    test(`of the ${first} waits for what is still to be written`, async () => {
      const made = rig()
      made[second].hold = true
      made[first].arrive('slow')
      made[first].push(null)
      await settle()
      assert.equal(made[second].finished, false)
      made[second].release()
      await until(() => made[second].finished, 'the end')
      assert.equal(made[second].text, 'slow')
      made.tunnel.kill('killed')
    })
    test(`of both, the ${first} first, in one turn`, async () => {
      const made = rig()
      await settle()
      made[first].push(null)
      made[second].push(null)
      assert.equal((await endingOf(made)).reason, `${first}_close`)
    })
  }
})

describe('failures', () => {
  const failure = (code: string): NodeJS.ErrnoException => Object.assign(new Error(code), { code })

  for (const [side, other] of [['client', 'upstream'], ['upstream', 'client']] as const) {
    for (const code of ['ECONNRESET', 'EPIPE', 'ECONNABORTED']) {
      test(`${code} of the ${side} is a reset`, async () => {
        const made = rig()
        made[side].destroy(failure(code))
        assert.deepEqual(await endingOf(made), { reason: `${side}_reset`, by: side, error: undefined })
      })
    }
    test(`another error of the ${side} is an error, and kept`, async () => {
      const made = rig()
      const error = failure('ERR_SSL_BAD_RECORD')
      made[side].destroy(error)
      assert.deepEqual(await endingOf(made), { reason: 'error', by: side, error })
    })
    test(`of both: the first counts (${side})`, async () => {
      const made = rig()
      made[side].destroy(failure('ECONNRESET'))
      made[other].destroy(failure('EIO'))
      assert.equal((await endingOf(made)).reason, `${side}_reset`)
    })
    test(`a reset of the ${other} after the ${side} has ended is how that went away`, async () => {
      const made = rig()
      made[side].push(null)
      await settle()
      made[other].destroy(failure('ECONNRESET'))
      assert.deepEqual(await endingOf(made), { reason: `${side}_close`, by: side, error: undefined })
    })
    test(`another error after the ${side} has ended is still an error`, async () => {
      const made = rig()
      made[side].push(null)
      await settle()
      const error = failure('EIO')
      made[other].destroy(error)
      assert.deepEqual(await endingOf(made), { reason: 'error', by: other, error })
    })
    test(`the ${side} destroyed by another hand`, async () => {
      const made = rig()
      made[side].destroy()
      assert.deepEqual(await endingOf(made), { reason: `${side}_close`, by: side, error: undefined })
    })
    test(`the ${side} destroyed before the start`, async () => {
      const client = new End()
      const upstream = new End()
      const ends = { client, upstream }
      ends[side].destroy()
      await settle()
      const { owner, endings, ended } = recordEnding()
      const tunnel = new Tunnel(ends, noTimers, owner, 0)
      tunnel.start(undefined, undefined)
      const ending = await endingOf({ tunnel, client, upstream, endings, ended })
      assert.deepEqual(ending, { reason: `${side}_close`, by: side, error: undefined })
    })
    test(`what the ${side} sent before its reset is written before the ${other} goes`, async () => {
      const made = rig()
      made[other].hold = true
      for (let i = 0; i < 5; i++) made[side].arrive(Buffer.alloc(60, 0x61))
      await settle()
      assert.ok(made[side].isPaused())
      made[side].destroy(failure('ECONNRESET'))
      await settle()
      assert.equal(made[other].destroyed, false)
      made[other].release()
      assert.equal((await endingOf(made)).reason, `${side}_reset`)
      assert.equal(made.tunnel[side].bytes, made[other].text.length)
      assert.equal(made[other].text, 'a'.repeat(300))
    })
    test(`what waits after the ${side} is gone is written, however little it is`, async () => {
      for (const error of [failure('ECONNRESET'), failure('EIO'), undefined]) {
        const made = rig()
        made[other].hold = true
        made[side].arrive('x')
        await settle()
        made[side].destroy(error)
        await settle()
        assert.equal(made[other].destroyed, false)
        made[other].release()
        await endingOf(made)
        assert.equal(made[other].text, 'x')
      }
    })
    test(`what the ${other} sends after the ${side} is gone goes nowhere`, async () => {
      const made = rig()
      made[other].hold = true
      made[side].arrive('x'.repeat(64))
      await settle()
      made[side].destroy(failure('ECONNRESET'))
      await settle()
      made[other].arrive('too late')
      await settle()
      assert.equal(made[side].text, '')
      made[other].release()
      assert.equal((await endingOf(made)).reason, `${side}_reset`)
    })
  }
  test('the upstream\'s transport is the one that is reset', async () => {
    let resets = 0
    const transport = Object.assign(new End(), { resetAndDestroy: () => { resets++ } })
    const made = rig({ ends: { upstreamTransport: transport } })
    made.client.destroy(failure('ECONNRESET'))
    assert.equal((await endingOf(made)).reason, 'client_reset')
    assert.equal(resets, 1)
  })
  test('a transport that refuses to be reset is destroyed', async () => {
    const transport = Object.assign(new End(), { resetAndDestroy: () => { throw new Error('no TCP') } })
    const made = rig({ ends: { upstreamTransport: transport } })
    made.client.destroy(failure('ECONNRESET'))
    assert.equal((await endingOf(made)).reason, 'client_reset')
  })
  test('an error that is none of the connection\'s resets nobody', async () => {
    let resets = 0
    const transport = Object.assign(new End(), { resetAndDestroy: () => { resets++ } })
    const made = rig({ ends: { upstreamTransport: transport } })
    made.client.destroy(failure('EIO'))
    await endingOf(made)
    assert.equal(resets, 0)
  })
})

describe('being killed', () => {
  for (const reason of ['killed', 'drained'] as const) {
    test(`${reason}: at once, whatever waits`, async () => {
      const made = rig()
      made.client.hold = made.upstream.hold = true
      made.client.arrive('x')
      made.upstream.arrive('x')
      await settle()
      const error = new Error('why')
      made.tunnel.kill(reason, error)
      assert.deepEqual(await endingOf(made), { reason, by: 'proxy', error })
    })
  }
  test('twice: the first counts', async () => {
    const made = rig()
    made.tunnel.kill('killed')
    made.tunnel.kill('drained')
    assert.equal((await endingOf(made)).reason, 'killed')
  })
  test('after its end changes nothing', async () => {
    const made = rig()
    made.client.push(null)
    made.upstream.push(null)
    assert.equal((await endingOf(made)).reason, 'client_close')
    made.tunnel.kill('killed')
    made.tunnel.sweep(1e9)
    await settle()
    assert.deepEqual(made.endings.map(({ reason }) => reason), ['client_close'])
  })
})

describe('timers', () => {
  const alive = async (made: Rig): Promise<void> => {
    await settle()
    assert.deepEqual(made.endings, [])
    assert.ok(!made.client.destroyed && !made.upstream.destroyed)
  }
  const expired = async (made: Rig, reason: string): Promise<void> => {
    assert.deepEqual(await endingOf(made), { reason, by: 'proxy', error: undefined })
  }

  describe('idle', () => {
    test('runs from the start', async () => {
      const made = rig({ timers: { idle: 100 }, now: 1000 })
      made.tunnel.sweep(1099)
      await alive(made)
      made.tunnel.sweep(1100)
      await expired(made, 'idle_timeout')
    })
    for (const side of ['client', 'upstream'] as const) {
      test(`begins anew with bytes of the ${side}`, async () => {
        const made = rig({ timers: { idle: 100 } })
        assert.equal(made.tunnel.quietSince, 0)
        made[side].arrive('x')
        await settle()
        made.tunnel.sweep(90)
        assert.equal(made.tunnel.quietSince, 90)
        made.tunnel.sweep(189)
        await alive(made)
        made.tunnel.sweep(190)
        await expired(made, 'idle_timeout')
      })
    }
    test('of 0 is none', async () => {
      const made = rig()
      made.tunnel.sweep(1e12)
      await alive(made)
      made.tunnel.kill('killed')
    })
  })

  describe('lifetime', () => {
    test('runs whatever happens', async () => {
      const made = rig({ timers: { lifetime: 100, idle: 100 }, now: 5 })
      for (const now of [30, 60, 104]) {
        made.client.arrive('x')
        await settle()
        made.tunnel.sweep(now)
        await alive(made)
      }
      made.client.arrive('x')
      await settle()
      made.tunnel.sweep(105)
      await expired(made, 'max_lifetime')
    })
  })

  describe('half-close', () => {
    for (const side of ['client', 'upstream'] as const) {
      test(`runs once the ${side} has ended, and not before`, async () => {
        const made = rig({ timers: { halfClose: 1000 } })
        made.tunnel.sweep(monotonicNow() + 1e9)
        await alive(made)
        const before = monotonicNow()
        made[side].push(null)
        await settle()
        const after = monotonicNow()
        made.tunnel.sweep(before + 999)
        await alive(made)
        made.tunnel.sweep(after + 1001)
        await expired(made, 'half_close_timeout')
      })
    }
    test('is not put off by bytes', async () => {
      const made = rig({ timers: { halfClose: 1000 } })
      made.client.push(null)
      await settle()
      made.upstream.arrive('x')
      await settle()
      made.tunnel.sweep(monotonicNow() + 1001)
      await expired(made, 'half_close_timeout')
    })
    test('bounds how long a reset waits for the other side to take the rest; the reason stays', async () => {
      const made = rig({ timers: { halfClose: 1000 } })
      made.upstream.hold = true
      made.client.arrive('x')
      await settle()
      made.client.destroy(Object.assign(new Error('reset'), { code: 'ECONNRESET' }))
      await settle()
      assert.equal(made.upstream.destroyed, false)
      made.tunnel.sweep(monotonicNow() + 1001)
      assert.equal((await endingOf(made)).reason, 'client_reset')
    })
    test('of 0 is none', async () => {
      const made = rig()
      made.client.push(null)
      await settle()
      made.tunnel.sweep(monotonicNow() + 1e12)
      await alive(made)
      made.tunnel.kill('killed')
    })
  })

  describe('stall', () => {
    for (const [from, to] of [['client', 'upstream'], ['upstream', 'client']] as const) {
      test(`runs while the ${to} takes nothing of what waits`, async () => {
        const made = rig({ timers: { stall: 100 } })
        made.tunnel.sweep(500)
        made[to].hold = true
        made[from].arrive('x')
        await settle()
        made.tunnel.sweep(500)
        // the other direction puts nothing off
        made[to].arrive('y')
        await settle()
        made.tunnel.sweep(599)
        await alive(made)
        made.tunnel.sweep(600)
        await expired(made, 'stalled')
      })
      test(`begins anew with each write that the ${to} takes`, async () => {
        const made = rig({ timers: { stall: 100 } })
        made[to].hold = true
        for (let i = 0; i < 4; i++) made[from].arrive('x'.repeat(10))
        await settle()
        made.tunnel.sweep(1000)
        made.tunnel.sweep(1099)
        made[to].drainOne()
        await settle()
        made.tunnel.sweep(1150)
        made.tunnel.sweep(1249)
        await alive(made)
        made.tunnel.sweep(1250)
        await expired(made, 'stalled')
      })
      test(`does not run while nothing waits (${to})`, async () => {
        const made = rig({ timers: { stall: 100 } })
        made[from].arrive('x')
        await settle()
        made.tunnel.sweep(1000)
        made.tunnel.sweep(1e9)
        await alive(made)
        made.tunnel.kill('killed')
      })
      test(`is a bound where more comes than the ${to} takes (${from})`, async () => {
        const made = rig({ timers: { stall: 100 } })
        made[to].hold = true
        made[from].arrive('x')
        await settle()
        made.tunnel.sweep(1000)
        made[from].arrive('more')
        await settle()
        made.tunnel.sweep(1100)
        await expired(made, 'stalled')
      })
      test(`runs while the ${to} takes nothing of what was written before the tunnel began`, async () => {
        const made = rig({ timers: { stall: 100 } })
        made[to].hold = true
        made[to].write('a head')
        made.tunnel.sweep(500)
        made.tunnel.sweep(599)
        await alive(made)
        made.tunnel.sweep(600)
        await expired(made, 'stalled')
      })
      test(`runs while the ${to} takes nothing of a last frame`, async () => {
        const ends = { clientTracker: new FrameTracker(true), upstreamTracker: new FrameTracker(false) }
        const made = rig({ timers: { stall: 100 }, ends })
        made.tunnel.sweep(500)
        made[to].hold = true
        made.tunnel.requestClose(to, closeFrame(1001))
        await settle()
        made.tunnel.sweep(500)
        made.tunnel.sweep(599)
        await alive(made)
        made.tunnel.sweep(600)
        assert.equal((await endingOf(made)).reason, 'drained') // which it was first
      })
    }
    test('of 0 is none', async () => {
      const made = rig()
      made.client.hold = true
      made.upstream.arrive('x')
      await settle()
      made.tunnel.sweep(1000)
      made.tunnel.sweep(1e12)
      await alive(made)
      made.tunnel.kill('killed')
    })
  })

  test('several at once: a stall says most, idleness least', async () => {
    const every = { idle: 10, halfClose: 10, lifetime: 10, stall: 10 }
    const stalled = rig({ timers: every })
    stalled.client.hold = true
    stalled.upstream.arrive('x')
    await settle()
    stalled.tunnel.sweep(1)
    stalled.tunnel.sweep(100)
    await expired(stalled, 'stalled')
    const old = rig({ timers: every })
    old.tunnel.sweep(100)
    await expired(old, 'max_lifetime')
  })
})

describe('a last frame', () => {
  const toClient = closeFrame(1001)
  const toUpstream = closeFrame(1001, Buffer.from([1, 2, 3, 4]))
  const followed = (): Rig => rig({ ends: { clientTracker: new FrameTracker(true), upstreamTracker: new FrameTracker(false) } })
  const bid = ({ tunnel }: Rig): void => {
    tunnel.requestClose('client', toClient)
    tunnel.requestClose('upstream', toUpstream)
  }
  const fromClient = encodeFrame(2, Buffer.alloc(20, 0x61), { masked: true })
  const fromUpstream = encodeFrame(2, Buffer.alloc(20, 0x62))

  test('goes both ways at once where no frame is under way', async () => {
    const made = followed()
    made.client.arrive(fromClient)
    await settle()
    bid(made)
    await settle()
    assert.deepEqual(Buffer.concat(made.client.written), toClient)
    assert.deepEqual(Buffer.concat(made.upstream.written), Buffer.concat([fromClient, toUpstream]))
    assert.ok(made.client.finished && made.upstream.finished)
    assert.deepEqual(made.endings, [])
    made.client.push(null)
    made.upstream.push(null)
    assert.deepEqual(await endingOf(made), { reason: 'drained', by: 'proxy', error: undefined })
  })
  for (const [from, to, frame, last] of [
    ['client', 'upstream', fromClient, toUpstream], ['upstream', 'client', fromUpstream, toClient]
  ] as const) {
    test(`waits for the end of the ${from}'s frame, at every offset, and drops what follows`, async () => {
      for (let at = 1; at < frame.length; at++) {
        const made = followed()
        made[from].arrive(frame.subarray(0, at))
        await settle()
        bid(made)
        await settle()
        assert.equal(made[to].finished, false, `ended after ${at} bytes`)
        assert.deepEqual(Buffer.concat(made[to].written), frame.subarray(0, at))
        made[from].arrive(Buffer.concat([frame.subarray(at), frame]))
        made[from].arrive(frame)
        await settle()
        assert.deepEqual(Buffer.concat(made[to].written), Buffer.concat([frame, last]), `split at ${at}`)
        assert.equal(made[to].finished, true)
        assert.ok(!made[to].destroyed && !made[from].destroyed, 'nothing went wrong')
        made.tunnel.kill('killed')
        assert.equal((await endingOf(made)).reason, 'drained')
      }
    })
    test(`waits through a frame of the ${from} that comes in many pieces`, async () => {
      const made = followed()
      made[from].arrive(frame.subarray(0, 1))
      await settle()
      bid(made)
      for (let at = 1; at < frame.length; at++) {
        made[from].arrive(frame.subarray(at, at + 1))
        await settle()
      }
      made[from].arrive('dropped')
      await settle()
      assert.deepEqual(Buffer.concat(made[to].written), Buffer.concat([frame, last]))
      made.tunnel.kill('killed')
    })
    test(`does not follow a Close of the ${from}`, async () => {
      const close = encodeFrame(8, Buffer.from([3, 232]), { masked: from === 'client' })
      const made = followed()
      made[from].arrive(close)
      await settle()
      bid(made)
      await settle()
      assert.deepEqual(Buffer.concat(made[to].written), close)
      assert.equal(made[to].finished, false)
      made.tunnel.kill('killed')
    })
    test(`does not follow a Close of the ${from} that was under way`, async () => {
      const close = encodeFrame(8, Buffer.from([3, 232]), { masked: from === 'client' })
      for (let at = 1; at < close.length; at++) {
        const made = followed()
        made[from].arrive(close.subarray(0, at))
        await settle()
        bid(made)
        made[from].arrive(close.subarray(at))
        await settle()
        assert.deepEqual(Buffer.concat(made[to].written), close, `split at ${at}`)
        made.tunnel.kill('killed')
      }
    })
    test(`a Close of the ${from} that was under way is the cause, whoever ends the connection`, async () => {
      const close = encodeFrame(8, Buffer.from([3, 232]), { masked: from === 'client' })
      for (let at = 1; at < close.length; at++) {
        const made = followed()
        made[from].arrive(close.subarray(0, at))
        await settle()
        made.tunnel.requestClose(to, last)
        made[from].arrive(close.subarray(at))
        await settle()
        made[to].push(null)
        made[from].push(null)
        assert.deepEqual(await endingOf(made), { reason: `${from}_close`, by: from, error: undefined }, `split at ${at}`)
      }
    })
    test(`is not put into what the ${from} sends where that is no WebSocket stream`, async () => {
      const made = followed()
      made[from].arrive('\xff\xff\xff no frames')
      await settle()
      bid(made)
      made[from].arrive(' at all')
      await settle()
      assert.equal(made[to].text, '\xff\xff\xff no frames at all')
      assert.equal(made[to].finished, false)
      made.tunnel.kill('killed')
    })
    test(`is not written after the ${from} has ended`, async () => {
      const made = followed()
      made[from].push(null)
      await settle()
      bid(made)
      await settle()
      assert.equal(made[to].text, '')
      assert.equal(made[to].destroyed, false, 'nothing went wrong')
      made[to].push(null)
      assert.equal((await endingOf(made)).reason, `${from}_close`)
    })
    test(`to the ${to} leaves the other direction as it is`, async () => {
      const made = followed()
      const answer = from === 'client' ? fromUpstream : fromClient
      made.tunnel.requestClose(to, last)
      made[from].arrive(frame)
      made[to].arrive(answer)
      made[to].arrive(answer)
      await settle()
      assert.deepEqual(Buffer.concat(made[to].written), last)
      assert.deepEqual(Buffer.concat(made[from].written), Buffer.concat([answer, answer]))
      assert.equal(made[from].finished, false)
      made[to].push(null)
      made[from].push(null)
      assert.equal((await endingOf(made)).reason, 'drained')
    })
    test(`where the ${from} has said before that it goes: that stays the cause`, async () => {
      const made = followed()
      made[from].arrive(encodeFrame(8, Buffer.from([3, 232]), { masked: from === 'client' }))
      await settle()
      bid(made)
      made[from].push(null)
      made[to].push(null)
      assert.deepEqual(await endingOf(made), { reason: `${from}_close`, by: from, error: undefined })
    })
    test(`where both have said that they go, the ${from} first: nothing is added`, async () => {
      const made = followed()
      const close = { client: encodeFrame(8, Buffer.from([3, 232]), { masked: true }), upstream: encodeFrame(8, Buffer.from([3, 232])) }
      made[from].arrive(close[from])
      await settle()
      made[to].arrive(close[to])
      await settle()
      bid(made)
      await settle()
      assert.deepEqual(Buffer.concat(made[to].written), close[from])
      assert.deepEqual(Buffer.concat(made[from].written), close[to])
      made[from].push(null)
      made[to].push(null)
      assert.equal((await endingOf(made)).reason, `${from}_close`)
    })
  }
  test('is written once', async () => {
    const made = followed()
    bid(made)
    bid(made)
    await settle()
    assert.deepEqual(Buffer.concat(made.client.written), toClient)
    assert.deepEqual(Buffer.concat(made.upstream.written), toUpstream)
    made.tunnel.kill('killed')
  })
  test('is not for a stream that nobody follows', async () => {
    const made = rig()
    bid(made)
    made.client.arrive('goes on')
    await settle()
    assert.equal(made.client.text, '')
    assert.equal(made.upstream.text, 'goes on')
    made.tunnel.kill('killed')
  })
  test('bytes that are dropped are still counted as read', async () => {
    const made = followed()
    bid(made)
    made.client.arrive(fromClient)
    await settle()
    assert.equal(made.tunnel.client.bytes, fromClient.length)
    made.tunnel.kill('killed')
  })
  for (const [first, second] of [['client', 'upstream'], ['upstream', 'client']] as const) {
    test(`of the ${first}'s own makes the end its doing, even where the ${second} hangs up first`, async () => {
      const made = followed()
      made[first].arrive(encodeFrame(8, Buffer.from([3, 232]), { masked: first === 'client' }))
      await settle()
      made[second].push(null)
      made[first].push(null)
      assert.deepEqual(await endingOf(made), { reason: `${first}_close`, by: first, error: undefined })
    })
  }
})

describe('over TCP', () => {
  /** Two sockets that are connected to each other; destroyed after the test. */
  async function pair (t: TestContext): Promise<{ near: Socket, far: Socket }> {
    const server = createServer({ allowHalfOpen: true })
    server.listen(0, '127.0.0.1')
    await event(server, 'listening')
    const accepted = event<[Socket]>(server, 'connection')
    const far = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true })
    const [near] = await accepted
    await (far.connecting ? event(far, 'connect') : undefined)
    server.close()
    t.after(() => {
      near.destroy()
      far.destroy()
    })
    return { near, far }
  }

  interface Wire { client: Socket, upstream: Socket, tunnel: Tunnel, ended: Promise<Ending>, endings: Ending[], near: { client: Socket, upstream: Socket } }

  /** A tunnel between two connections, seen from their far ends. */
  async function wire (t: TestContext, timers: TunnelTimers = noTimers): Promise<Wire> {
    const client = await pair(t)
    const upstream = await pair(t)
    const { owner, ended, endings } = recordEnding()
    const tunnel = new Tunnel({ client: client.near, upstream: upstream.near }, timers, owner, monotonicNow())
    tunnel.start(undefined, undefined)
    return { client: client.far, upstream: upstream.far, tunnel, ended, endings, near: { client: client.near, upstream: upstream.near } }
  }

  function collect (socket: Socket): { readonly text: string, readonly bytes: number } {
    const seen = { text: '', bytes: 0 }
    socket.on('data', (chunk: Buffer) => {
      seen.bytes += chunk.length
      if (seen.text.length < 1000) seen.text += chunk.toString('latin1')
    })
    return seen
  }

  for (const [first, second] of [['client', 'upstream'], ['upstream', 'client']] as const) {
    test(`a half-close of the ${first}`, async (t) => {
      const made = await wire(t)
      const atSecond = collect(made[second])
      const atFirst = collect(made[first])
      const secondSawEnd = event(made[second], 'end')
      made[first].end('question')
      await secondSawEnd
      assert.equal(atSecond.text, 'question')
      assert.deepEqual(made.endings, [])
      const firstSawEnd = event(made[first], 'end')
      made[second].end('answer')
      await firstSawEnd
      assert.equal(atFirst.text, 'answer')
      assert.deepEqual(await within(made.ended, 'the end'), { reason: `${first}_close`, by: first, error: undefined })
    })
    test(`a reset of the ${first} reaches the ${second} as a reset`, async (t) => {
      const made = await wire(t)
      const seen = event<[NodeJS.ErrnoException]>(made[second], 'error')
      made[second].resume()
      made[first].resetAndDestroy()
      assert.equal((await seen)[0].code, 'ECONNRESET')
      assert.deepEqual(await within(made.ended, 'the end'), { reason: `${first}_reset`, by: first, error: undefined })
      assert.equal(made.endings.length, 1)
    })
    test(`a ${second} that reads nothing holds the ${first} up, in bounded memory`, async (t) => {
      const made = await wire(t)
      const total = 32 * 1024 * 1024
      const chunk = Buffer.alloc(256 * 1024, 0x61)
      let sent = 0
      const send = (): void => {
        while (sent < total) {
          sent += chunk.length
          if (!made[first].write(chunk)) return
        }
        made[first].end()
      }
      made[first].on('drain', send)
      send()
      const near = made.near[first]
      const towards = made.near[second]
      let most = 0
      near.on('data', () => { most = Math.max(most, towards.writableLength) })
      await until(() => near.isPaused(), 'the pause')
      assert.ok(made.tunnel[first].bytes < total)
      const atSecond = collect(made[second])
      await event(made[second], 'end')
      assert.equal(atSecond.bytes, total)
      assert.equal(made.tunnel[first].bytes, total)
      assert.ok(most <= 2 * 65_536 + towards.writableHighWaterMark, `${most} bytes waited`)
      made.tunnel.kill('killed')
      await within(made.ended, 'the end')
    })
    test(`a stalled ${second} ends it, while the other direction is busy`, async (t) => {
      const made = await wire(t, { ...noTimers, stall: 1000, idle: 1000 })
      made[first].on('error', () => {})
      made[second].on('error', () => {})
      const chunk = Buffer.alloc(256 * 1024)
      const send = (): void => { while (made[first].write(chunk)); }
      made[first].on('drain', send)
      send()
      await until(() => made.near[first].isPaused(), 'the pause')
      // the kernel's buffers may grow, and so take some more, for a while
      let now = monotonicNow()
      await until(() => {
        made[second].write('busy')
        made[first].resume()
        made.tunnel.sweep(now += 1000)
        return made.endings.length > 0
      }, 'the stall')
      assert.deepEqual(await within(made.ended, 'the end'), { reason: 'stalled', by: 'proxy', error: undefined })
    })
    test(`each timer closes both connections (${first})`, async (t) => {
      const made = await wire(t, { ...noTimers, halfClose: 1000 })
      made[second].resume()
      const secondSawEnd = event(made[second], 'end')
      made[first].end()
      await secondSawEnd
      const closed = Promise.all([event(made.near.client, 'close'), event(made.near.upstream, 'close')])
      made.tunnel.sweep(monotonicNow() + 1001)
      assert.equal((await within(made.ended, 'the end')).reason, 'half_close_timeout')
      await closed
    })
  }
  test('a kill closes both connections', async (t) => {
    const made = await wire(t)
    for (const side of [made.client, made.upstream]) side.on('error', () => {}).resume()
    const closed = Promise.all([event(made.client, 'end'), event(made.upstream, 'end')])
    made.tunnel.kill('killed')
    assert.equal((await within(made.ended, 'the end')).reason, 'killed')
    await closed
  })
})
