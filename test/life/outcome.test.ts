// One outcome for each tunnel, whatever ended it: the same in the metrics, in one log line, in onTunnelClose and on the
// diagnostics channels.
import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { tunnelReasons } from '../../lib/tunnel/reasons.ts'
import { rawClient } from '../fixtures/client.ts'
import { encodeFrame } from '../fixtures/frames.ts'
import { recordLog } from '../fixtures/log.ts'
import type { LogRecord } from '../fixtures/log.ts'
import { startProxy } from '../fixtures/proxy.ts'
import type { ProxyOptions } from '../fixtures/proxy.ts'
import { selfSigned } from '../fixtures/tls.ts'
import { openTunnel, recordTunnels, roundTrip } from '../fixtures/tunnel.ts'
import type { OpenTunnel, Outcome, Tunnel, TunnelRecord } from '../fixtures/tunnel.ts'
import { startRawUpstream } from '../fixtures/upstream.ts'
import { settles, watchErrors } from './world.ts'

interface Scene extends OpenTunnel {
  /** The upstream's TCP sockets, below TLS where there is one. */
  transports: Socket[]
  app: Awaited<ReturnType<typeof startProxy>>['app']
  record: TunnelRecord
  log: LogRecord
  channels: { open: unknown[], close: Array<{ tunnel: Tunnel, outcome: Outcome }>, refused: unknown[] }
}

const names = ['open', 'close', 'refused'] as const

async function scene (t: TestContext, options: Partial<ProxyOptions> = {}, { secure = false } = {}): Promise<Scene> {
  const channels: Scene['channels'] = { open: [], close: [], refused: [] }
  for (const name of names) {
    const listener = (message: unknown): void => { (channels[name] as unknown[]).push(message) }
    subscribe(`fastify-wstunnel:tunnel:${name}`, listener)
    t.after(() => unsubscribe(`fastify-wstunnel:tunnel:${name}`, listener))
  }
  const log = recordLog()
  const record = recordTunnels()
  const credentials = selfSigned()
  const upstream = await startRawUpstream(t, undefined, secure ? { tls: credentials } : {})
  const transports: Socket[] = []
  upstream.server.on('connection', (socket: Socket) => transports.push(socket))
  const { app, port } = await startProxy(
    t,
    { upstream: upstream.url, tls: { ca: credentials.cert }, ...record.hooks, ...options },
    { fastify: { logger: log.logger } }
  )
  return { app, record, log, channels, transports, ...await openTunnel(t, { port }, upstream) }
}

type Expected = [reason: typeof tunnelReasons[number], by: Outcome['by'], level: 'info' | 'warn']

const events: Record<typeof tunnelReasons[number], {
  by: Outcome['by']
  level: 'info' | 'warn'
  options?: Partial<ProxyOptions>
  secure?: boolean
  end: (scene: Scene) => unknown
}> = {
  client_close: { by: 'client', level: 'info', end: ({ client }) => client.end() },
  upstream_close: { by: 'upstream', level: 'info', end: ({ upstream }) => upstream.end() },
  client_reset: { by: 'client', level: 'info', end: ({ client }) => client.reset() },
  upstream_reset: { by: 'upstream', level: 'warn', end: ({ upstream }) => upstream.reset() },
  idle_timeout: { by: 'proxy', level: 'info', options: { idleTimeout: 200 }, end: () => {} },
  half_close_timeout: {
    by: 'proxy',
    level: 'info',
    options: { halfCloseTimeout: 200 },
    async end ({ client, upstream }) {
      const busy = setInterval(() => { if (upstream.socket.writable) upstream.write('x') }, 20)
      upstream.socket.once('close', () => clearInterval(busy))
      client.end()
      await upstream.ended
    }
  },
  max_lifetime: { by: 'proxy', level: 'info', options: { maxLifetime: 300 }, end: () => {} },
  stalled: {
    by: 'proxy',
    level: 'warn',
    options: { stallTimeout: 300 },
    end ({ client, upstream }) {
      upstream.socket.pause()
      const piece = Buffer.alloc(256 * 1024)
      const flood = (): void => { while (client.socket.writable && client.socket.write(piece)); }
      client.socket.on('drain', flood)
      flood()
    }
  },
  drained: { by: 'proxy', level: 'info', end: ({ app }) => app.wstunnel.drain({ timeout: 200 }) },
  killed: { by: 'proxy', level: 'info', end: ({ app }) => { for (const tunnel of app.wstunnel.tunnels()) tunnel.close('by an operator') } },
  error: {
    by: 'upstream',
    level: 'warn',
    secure: true,
    // Bytes below TLS that are no record of it.
    end: ({ transports }) => { transports[0]?.write('this is no TLS record') }
  }
}

for (const reason of tunnelReasons) {
  test(`${reason} is one outcome, the same wherever it is told`, async (t) => {
    const errors = watchErrors(t)
    const { by, level, options, secure = false, end } = events[reason]
    const all = await scene(t, options, { secure })
    const { app, record, log, channels, client, upstream } = all
    await roundTrip(all)
    const leave = (each: typeof client): void => { each.ended.then(() => each.end(), () => {}) }
    if (reason !== 'half_close_timeout') for (const each of [client, upstream]) leave(each)
    await end(all)
    const outcome = await record.nextOutcome()
    assert.deepEqual([outcome.reason, outcome.by], [reason, by] satisfies [Expected[0], Expected[1]])

    const { open, opened, closed } = app.wstunnel.metrics().tunnels
    const expected = Object.fromEntries(tunnelReasons.map((each) => [each, each === reason ? 1 : 0]))
    assert.deepEqual([open, opened, closed], [0, 1, expected])

    await log.line(({ msg }) => msg === 'tunnel closed', 'tunnel closed')
    const lines = log.lines.filter(({ msg }) => msg === 'tunnel closed')
    assert.equal(lines.length, 1)
    const line = lines[0] as typeof lines[number]
    assert.equal(line.level, level === 'warn' ? 40 : 30)
    assert.equal(typeof line['reqId'], 'string')
    for (const key of ['reason', 'by', 'bytesFromClient', 'bytesFromUpstream', 'duration', 'closeCode', 'detail'] as const) {
      assert.equal(line[key], outcome[key], key)
    }

    assert.deepEqual([channels.open.length, channels.close.length, channels.refused.length], [1, 1, 0])
    assert.equal(channels.close[0]?.outcome, outcome)
    assert.equal(record.closed.length, 1)
    assert.equal(record.opened.length, 1)
    if (reason === 'killed') assert.equal(outcome.detail, 'by an operator')
    if (reason === 'error') assert.ok(outcome.error instanceof Error)
    else assert.equal(outcome.error, undefined)
    client.destroy()
    upstream.destroy()
    // Nothing follows, when everything is closed.
    await settles(() => client.socket.destroyed && upstream.socket.destroyed, () => 'the sockets to be closed')
    assert.deepEqual([record.closed.length, channels.close.length, errors], [1, 1, []])
  })
}

for (const code of [1000, 1001, 1005, 1011, 3000, 4999]) {
  for (const from of ['client', 'upstream'] as const) {
    test(`the close code ${code} of the ${from} is in the outcome`, async (t) => {
      const all = await scene(t)
      const [near, away] = from === 'client' ? [all.client, all.upstream] : [all.upstream, all.client]
      const payload = code === 1005 ? Buffer.alloc(0) : Buffer.from([code >> 8, code & 0xff, ...Buffer.from('why')])
      const frame = encodeFrame(8, payload, { masked: from === 'client' })
      for (const byte of frame) near.write(Buffer.from([byte]))
      near.end()
      await away.ended
      away.end()
      const { closeCode, reason } = await all.record.nextOutcome()
      assert.deepEqual([closeCode, reason], [code, `${from}_close`])
    })
  }
}

test('a tunnel without a Close has no close code', async (t) => {
  const { client, upstream, record } = await scene(t)
  client.write(encodeFrame(1, 'hello', { masked: true }))
  client.end()
  await upstream.ended
  upstream.end()
  assert.equal('closeCode' in await record.nextOutcome(), false)
})

test('a refusal is on its channel, and no tunnel on the others', async (t) => {
  const { app, channels } = await scene(t, { limits: { maxTunnels: 1 } })
  const second = await rawClient(t, (app.server.address() as AddressInfo).port)
  second.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
    'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n')
  assert.equal((await second.response()).status, 503)
  assert.deepEqual([channels.open.length, channels.close.length, channels.refused.length], [1, 0, 1])
  const { stage, route } = channels.refused[0] as { stage: string, route: string }
  assert.deepEqual([stage, route, app.wstunnel.metrics().tunnels.refused.limit], ['limit', '/', 1])
})

for (const [what, fail] of Object.entries({
  throw: (): never => { throw new Error('a bug of the user') },
  reject: async (): Promise<never> => await Promise.reject(new Error('a bug of the user'))
})) {
  test(`hooks that ${what} change nothing`, async (t) => {
    const errors = watchErrors(t)
    const all = await scene(t, { onTunnelOpen: fail, onTunnelClose: fail })
    await roundTrip(all)
    all.client.end()
    await all.upstream.ended
    all.upstream.end()
    for (const name of ['onTunnelOpen', 'onTunnelClose']) await all.log.line(({ msg }) => msg === `${name} failed`, `${name} failed`)
    assert.deepEqual([all.app.wstunnel.metrics().tunnels.closed.client_close, errors], [1, []])
  })
}
