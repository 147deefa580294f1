import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { after, before, beforeEach, describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import otel from '@fastify/otel'
import { context, createContextKey, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { UndiciInstrumentation } from '@opentelemetry/instrumentation-undici'
import { InMemorySpanExporter, NodeTracerProvider, type ReadableSpan, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node'
import { tracing } from '../../lib/otel/index.ts'
import { rawClient, requestHead, upgradeHead } from '../fixtures/client.ts'
import { recordLog } from '../fixtures/log.ts'
import { startProxy } from '../fixtures/proxy.ts'
import type { ProxyOptions } from '../fixtures/proxy.ts'
import { openTunnel, recordTunnels, roundTrip } from '../fixtures/tunnel.ts'
import { closedPort, headersOf, socketPath, startHttpUpstream, startRawUpstream, startWsUpstream, switching } from '../fixtures/upstream.ts'
import type { HttpUpstream } from '../fixtures/upstream.ts'
import { deferred, until } from '../fixtures/wait.ts'

const exporter = new InMemorySpanExporter()
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
const trace1 = '0af7651916cd43dd8448eb211c80319c'
const span1 = 'b7ad6b7169203331'
const own = { traceparent: `00-${trace1}-${span1}-01`, tracestate: 'vendor=a1', baggage: 'tenant=blue' }

const spans = (kind: SpanKind): ReadableSpan[] => exporter.getFinishedSpans().filter((span) => span.kind === kind)
const clientSpans = (): ReadableSpan[] => spans(SpanKind.CLIENT)
const fieldOf = (span: ReadableSpan | undefined): string => `00-${span?.spanContext().traceId}-${span?.spanContext().spanId}-01`

/** What an upstream got of a trace, line by line. */
function traceFields (rawHeaders: readonly string[]): Record<'traceparent' | 'tracestate' | 'baggage', string[]> {
  const valuesOf = (wanted: string): string[] => rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === wanted)
  return { traceparent: valuesOf('traceparent'), tracestate: valuesOf('tracestate'), baggage: valuesOf('baggage') }
}

async function tracedUpstream (t: TestContext): Promise<HttpUpstream & { seen: Map<string, ReturnType<typeof traceFields>> }> {
  const seen = new Map<string, ReturnType<typeof traceFields>>()
  const upstream = await startHttpUpstream(t, (request, response) => {
    seen.set(request.url ?? '', traceFields(request.rawHeaders))
    setImmediate(() => response.end('ok'))
  })
  return { ...upstream, seen }
}

async function statusOf (t: TestContext, port: number, head: string): Promise<number> {
  const client = await rawClient(t, port)
  client.write(head)
  return (await client.response()).status
}

before(() => provider.register())
beforeEach(() => exporter.reset())
after(async () => {
  await provider.shutdown()
  trace.disable()
  context.disable()
  propagation.disable()
})

for (const instrumented of [false, true]) {
  describe(instrumented ? 'beside instrumentation-undici' : 'without instrumentation-undici', () => {
    let undici: UndiciInstrumentation | undefined
    before(() => { if (instrumented) undici = new UndiciInstrumentation() })
    after(() => undici?.disable())

    for (const sent of [own, undefined]) {
      const expected = (span: ReadableSpan | undefined): ReturnType<typeof traceFields> => ({
        traceparent: [fieldOf(span)], tracestate: sent === undefined ? [] : [sent.tracestate], baggage: sent === undefined ? [] : [sent.baggage]
      })

      test(`a forward has one span and one of each field, ${sent === undefined ? 'without' : 'with'} a client's`, async (t) => {
        const upstream = await tracedUpstream(t)
        const proxy = await startProxy(t, { upstream: upstream.url, tracing: tracing() })
        assert.equal(await statusOf(t, proxy.port, requestHead('GET', '/', sent)), 200)
        const [span, ...others] = clientSpans()
        assert.deepEqual([upstream.seen.get('/'), others], [expected(span), []])
        if (sent !== undefined) assert.deepEqual([span?.spanContext().traceId, span?.parentSpanContext?.spanId], [trace1, span1])
        assert.equal(span?.attributes['http.response.status_code'], 200)
      })

      test(`a handshake has one span, ended at the 101, and one of each field, ${sent === undefined ? 'without' : 'with'} a client's`, async (t) => {
        const upstream = await startRawUpstream(t)
        const proxy = await startProxy(t, { upstream: upstream.url, tracing: tracing() })
        const { head } = await openTunnel(t, proxy, upstream, '/', { headers: { ...sent } })
        const [span, ...others] = clientSpans()
        const seen = { traceparent: headersOf(head, 'traceparent'), tracestate: headersOf(head, 'tracestate'), baggage: headersOf(head, 'baggage') }
        assert.deepEqual([seen, others], [expected(span), []])
        if (sent !== undefined) assert.deepEqual([span?.spanContext().traceId, span?.parentSpanContext?.spanId], [trace1, span1])
        assert.deepEqual(
          [span?.attributes['wstunnel.kind'], span?.attributes['http.response.status_code'], span?.status.code],
          ['upgrade', 101, SpanStatusCode.UNSET]
        )
      })
    }

    test('requests that are declined offers, of a client with two traceparents, or with a field of the rewrite function have one', async (t) => {
      const upstream = await tracedUpstream(t)
      const proxy = await startProxy(t, {
        upstream: upstream.url,
        tracing: tracing(),
        rewriteRequestHeaders: (request, headers) => request.url === '/mine' ? { ...headers, traceparent: own.traceparent } : headers
      })
      const heads = {
        '/declined': requestHead('GET', '/declined', { ...own, Connection: 'Upgrade, HTTP2-Settings', Upgrade: 'h2c', 'HTTP2-Settings': 'AAMAAABkAARAAAAA' }),
        '/two': requestHead('GET', '/two', { traceparent: [own.traceparent, own.traceparent.replace('b7', 'b8')] }),
        '/mine': requestHead('GET', '/mine')
      }
      for (const [path, head] of Object.entries(heads)) {
        exporter.reset()
        assert.equal(await statusOf(t, proxy.port, head), 200)
        assert.deepEqual([upstream.seen.get(path)?.traceparent, clientSpans().length], [[fieldOf(clientSpans()[0])], 1], path)
      }
    })

    for (const forwards of [true, false]) {
      test(`traced and untraced requests that share a full pool have each their own parent: forwards: ${forwards}`, async (t) => {
        const upstream = await tracedUpstream(t)
        const proxy = await startProxy(t, { upstream: upstream.url, limits: { maxConnectionsPerUpstream: 1 }, tracing: tracing({ forwards }) })
        const paths = Array.from({ length: 8 }, (_, i) => `/${i + 1}`)
        const traceOf = (path: string): string | undefined => Number(path.slice(1)) % 2 === 0 ? path.slice(1).repeat(32) : undefined
        await Promise.all(paths.map(async (path) => {
          const traceId = traceOf(path)
          await statusOf(t, proxy.port, requestHead('GET', path, traceId === undefined ? {} : { traceparent: `00-${traceId}-${path.slice(1).repeat(16)}-01` }))
        }))
        assert.equal(upstream.sockets.length, 1, 'they shared one connection')
        if (!forwards && !instrumented) {
          assert.deepEqual([...upstream.seen.values()].flatMap(({ traceparent }) => traceparent), [], 'nobody has written one')
          return
        }
        const found = clientSpans()
        assert.equal(found.length, paths.length)
        for (const path of paths) {
          const { traceparent = [] } = upstream.seen.get(path) ?? {}
          const span = found.find((each) => fieldOf(each) === traceparent[0])
          const parent = traceOf(path) === undefined ? [undefined, 1] : [path.slice(1).repeat(16), 1]
          assert.deepEqual([span?.parentSpanContext?.spanId, traceparent.length], parent, path)
          if (traceOf(path) !== undefined) assert.equal(span?.spanContext().traceId, traceOf(path))
        }
        assert.equal(new Set(found.map((span) => span.spanContext().traceId)).size, paths.length, 'those without a parent have a trace of their own')
      })
    }

    test('beside @fastify/otel the attempt is a child of what is active, whose spans end with the switch', async (t) => {
      const instrumentation = new otel.FastifyOtelInstrumentation()
      const upstream = await startWsUpstream(t, { http: (_request, response) => response.end('ok') })
      const active: Array<string | undefined> = []
      const ended = deferred()
      const proxy = await startProxy(t, {
        upstream: upstream.url,
        tracing: tracing(),
        onTunnelOpen: () => { active.push(trace.getActiveSpan()?.spanContext().traceId) },
        onTunnelClose () {
          active.push(trace.getActiveSpan()?.spanContext().traceId)
          ended.resolve()
        }
      }, { setup: async (app) => { await app.register(instrumentation.plugin() as never) } })
      for (const head of [requestHead('GET', '/', own), upgradeHead('/', { headers: own })]) {
        exporter.reset()
        const client = await rawClient(t, proxy.port)
        client.write(head)
        const { status } = await client.response()
        await until(() => spans(SpanKind.SERVER).length === 1, 'the span of the request to end, though the tunnel goes on')
        const [server] = spans(SpanKind.SERVER)
        const [attempt, ...others] = clientSpans()
        const parent = exporter.getFinishedSpans().find((span) => span.spanContext().spanId === attempt?.parentSpanContext?.spanId)
        assert.deepEqual([server?.parentSpanContext?.spanId, server?.spanContext().traceId], [span1, trace1])
        assert.deepEqual([attempt?.spanContext().traceId, parent?.instrumentationScope.name, others], [trace1, '@fastify/otel', []])
        assert.equal(attempt?.attributes['http.response.status_code'], status)
        client.destroy()
      }
      await ended.promise
      assert.deepEqual(active, [trace1, undefined])
      const requests = [upstream.requests[0], (await upstream.next()).request]
      for (const request of requests) {
        assert.deepEqual(
          [traceFields(request?.rawHeaders ?? []).traceparent.length, request?.headers.tracestate, request?.headers.baggage],
          [1, own.tracestate, own.baggage]
        )
      }
    })
  })
}

test("a client's baggage passes where a span is active whose maker has not read it", async (t) => {
  const upstream = await tracedUpstream(t)
  const span = provider.getTracer('of the user').startSpan('own')
  const proxy = await startProxy(t, { upstream: upstream.url, tracing: tracing() }, {
    setup: (app) => { app.addHook('onRequest', (_request, _reply, done) => { context.with(trace.setSpan(context.active(), span), done) }) }
  })
  assert.equal(await statusOf(t, proxy.port, requestHead('GET', '/', own)), 200)
  assert.deepEqual([upstream.seen.get('/')?.baggage, clientSpans()[0]?.parentSpanContext?.spanId], [[own.baggage], span.spanContext().spanId])
  span.end()
})

test('a refused and a failed handshake end their spans with it', async (t) => {
  const upstream = await startRawUpstream(t, async (connection) => {
    await connection.head()
    connection.write('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n')
  })
  const proxy = await startProxy(t, {
    tracing: tracing(),
    routes: [{ path: '/dead/', upstream: `ws://127.0.0.1:${await closedPort()}/` }, { path: '/', upstream: `${upstream.url}/` }]
  })
  for (const path of ['/', '/dead/']) await statusOf(t, proxy.port, upgradeHead(path))
  assert.deepEqual(clientSpans().map(({ attributes, status }) => [attributes['http.response.status_code'], attributes['error.type'], status.code]), [
    [403, '403', SpanStatusCode.ERROR], [undefined, 'FST_WSTUNNEL_UPSTREAM_UNAVAILABLE', SpanStatusCode.ERROR]
  ])
})

test('a client that leaves ends the span of its forward, of its handshake, and of one that waits for a connection', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.url, limits: { maxConnectionsPerUpstream: 1 }, tracing: tracing() })
  const clients = []
  for (const head of [requestHead('GET', '/'), requestHead('GET', '/waits'), upgradeHead('/')]) {
    const client = await rawClient(t, proxy.port)
    client.write(head)
    clients.push(client)
  }
  await until(() => upstream.connections.length === 2, 'the forward and the handshake to be sent')
  await until(() => proxy.app.wstunnel.metrics().forwards.inFlight === 2, 'the second to wait')
  for (const client of clients) client.destroy()
  await until(() => clientSpans().length === 3, 'the three spans to end')
  assert.deepEqual([...new Set(clientSpans().map(({ attributes }) => attributes['error.type']))], ['FST_WSTUNNEL_CLIENT_GONE'])
})

test('each attempt of a failover is a span with how many came before', async (t) => {
  const upstream = await startRawUpstream(t, async (connection) => {
    const head = await connection.head()
    connection.write(head.includes('pgrade') ? switching(head) : 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
  })
  const members = [{ url: `ws://127.0.0.1:${await closedPort()}/`, loadFactor: 100 }, { url: `${upstream.url}/` }]
  const proxy = await startProxy(t, { upstream: 'balancer://app/', balancers: { app: { lbMethod: 'byrequests', members, retry: 0 } }, tracing: tracing() })
  for (const [head, status] of [[requestHead('GET', '/'), 200], [upgradeHead('/'), 101]] as const) {
    exporter.reset()
    assert.equal(await statusOf(t, proxy.port, head), status)
    assert.deepEqual(clientSpans().map(({ attributes }) => [attributes['http.request.resend_count'], attributes['wstunnel.upstream']]), [
      [undefined, members[0]!.url], [1, members[1]!.url]
    ])
    assert.equal(new Set(clientSpans().map((span) => span.spanContext().spanId)).size, 2)
  }
})

test('a request that met the end of a kept connection and is sent once more has a span for each time, and another traceparent', async (t) => {
  const heads: string[] = []
  const upstream = await startRawUpstream(t, async (connection) => {
    for (let i = 0; ; i++) {
      heads.push(await connection.head())
      if (i === 1) return connection.reset()
      connection.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
    }
  })
  const proxy = await startProxy(t, { upstream: upstream.url, tracing: tracing() })
  assert.deepEqual([await statusOf(t, proxy.port, requestHead('GET', '/')), await statusOf(t, proxy.port, requestHead('GET', '/', own))], [200, 200])
  const found = clientSpans()
  assert.deepEqual(found.map(({ attributes }) => attributes['http.request.resend_count']), [undefined, undefined, 1])
  assert.deepEqual(heads.map((head) => headersOf(head, 'traceparent')), found.map((span) => [fieldOf(span)]))
  assert.deepEqual(found.slice(1).map((span) => span.parentSpanContext?.spanId), [span1, span1])
})

test('attributes are those of the semantic conventions, without the query', async (t) => {
  const answer = async (connection: { head: () => Promise<string>, write: (text: string) => unknown }): Promise<void> => {
    await connection.head()
    connection.write('HTTP/1.1 207 Multi-Status\r\nContent-Length: 0\r\n\r\n')
  }
  const upstream = await startRawUpstream(t, answer)
  const path = await socketPath(t)
  await startRawUpstream(t, answer, { path })
  const proxy = await startProxy(t, {
    tracing: tracing(),
    routes: [{ path: '/socket/', upstream: `unix:${path}|http://backend.example/` }, { path: '/up/', upstream: `${upstream.url}/base/` }]
  })
  for (const head of [requestHead('PROPFIND', '/up/a%20b?token=secret'), upgradeHead('/up/x?token=secret'), requestHead('GET', '/socket/y')]) {
    await statusOf(t, proxy.port, head)
  }
  const common = { 'http.response.status_code': 207 }
  assert.deepEqual(clientSpans().map(({ name, attributes }) => [name, { ...attributes }]), [
    ['HTTP', {
      ...common,
      'http.request.method': '_OTHER',
      'http.request.method_original': 'PROPFIND',
      'url.full': `${upstream.httpUrl}/base/a%20b`,
      'server.address': '127.0.0.1',
      'server.port': upstream.port,
      'wstunnel.kind': 'forward',
      'wstunnel.route': '/up/',
      'wstunnel.upstream': `${upstream.url}/base/`
    }],
    ['GET', {
      ...common,
      'http.request.method': 'GET',
      'url.full': `${upstream.url}/base/x`,
      'server.address': '127.0.0.1',
      'server.port': upstream.port,
      'wstunnel.kind': 'upgrade',
      'wstunnel.route': '/up/',
      'wstunnel.upstream': `${upstream.url}/base/`
    }],
    ['GET', {
      ...common,
      'http.request.method': 'GET',
      'url.full': 'http://backend.example/y',
      'server.address': path,
      'network.transport': 'unix',
      'wstunnel.kind': 'forward',
      'wstunnel.route': '/socket/',
      'wstunnel.upstream': `unix:${path}|http://backend.example/`
    }]
  ])
})

describe('the end of a tunnel', () => {
  test('is a span without a length, linked to the handshake, with reason, bytes and close code', async (t) => {
    const upstream = await startWsUpstream(t)
    const { hooks, nextOutcome } = recordTunnels()
    const proxy = await startProxy(t, { upstream: upstream.url, tracing: tracing(), ...hooks })
    const client = await rawClient(t, proxy.port)
    client.write(upgradeHead('/', { headers: own }))
    assert.equal((await client.response()).status, 101)
    assert.equal(spans(SpanKind.INTERNAL).length, 0)
    client.write(Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0x0f, 0xa1])) // Close 4001
    await client.ended
    client.destroy()
    const outcome = await nextOutcome()
    const [handshake] = clientSpans()
    const [end, ...others] = spans(SpanKind.INTERNAL)
    assert.deepEqual(
      [end?.name, others, end?.links.map((link) => link.context.spanId), end?.spanContext().traceId],
      ['tunnel closed', [], [handshake?.spanContext().spanId], trace1]
    )
    assert.ok((end?.duration[0] ?? 1) === 0 && (end?.duration[1] ?? Infinity) < 1e8, 'it is no span of a tunnel\'s life')
    const { 'wstunnel.tunnel.duration': duration, 'wstunnel.tunnel.id': id, ...attributes } = end?.attributes ?? {}
    assert.ok(typeof duration === 'number' && Math.abs(duration * 1000 - outcome.duration) < 1 && typeof id === 'string')
    assert.deepEqual(attributes, {
      'wstunnel.route': '/',
      'wstunnel.upstream': `${upstream.url}/`,
      'wstunnel.tunnel.protocol': 'websocket',
      'wstunnel.tunnel.reason': outcome.reason,
      'wstunnel.tunnel.by': outcome.by,
      'wstunnel.tunnel.bytes_from_client': 8,
      'wstunnel.tunnel.bytes_from_upstream': outcome.bytesFromUpstream,
      'wstunnel.tunnel.close_code': 4001
    })
  })

  test('is an error where the upstream breaks, and none where it was closed here', async (t) => {
    const upstream = await startRawUpstream(t)
    const { hooks, nextOutcome } = recordTunnels()
    const proxy = await startProxy(t, { upstream: upstream.url, tracing: tracing(), ...hooks })
    const broken = await openTunnel(t, proxy, upstream)
    broken.upstream.reset()
    await nextOutcome()
    await openTunnel(t, proxy, upstream)
    for (const tunnel of proxy.app.wstunnel.tunnels()) tunnel.close('for a test')
    await nextOutcome()
    const ends = spans(SpanKind.INTERNAL).map(({ attributes, status }) =>
      [attributes['wstunnel.tunnel.reason'], attributes['wstunnel.tunnel.detail'], attributes['error.type'], status.code])
    assert.deepEqual(ends, [
      ['upstream_reset', undefined, 'upstream_reset', SpanStatusCode.ERROR], ['killed', 'for a test', undefined, SpanStatusCode.UNSET]
    ])
  })

  test('has no span where the handshake was not sampled, nor where the route has no tracing', async (t) => {
    const upstream = await startRawUpstream(t)
    const { hooks, nextOutcome } = recordTunnels()
    const proxy = await startProxy(t, {
      ...hooks,
      routes: [{ path: '/plain/', upstream: `${upstream.url}/` }, { path: '/', upstream: `${upstream.url}/`, tracing: tracing() }]
    })
    for (const path of ['/', '/plain/']) {
      const { client, upstream: connection, head } = await openTunnel(
        t, proxy, upstream, path, { headers: { traceparent: own.traceparent.replace(/1$/, '0') } }
      )
      assert.match(headersOf(head, 'traceparent').join(), /^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-00$/)
      client.destroy()
      connection.destroy()
      await nextOutcome()
    }
    assert.deepEqual(exporter.getFinishedSpans(), [])
  })
})

const fail = (..._: unknown[]): never => { throw new Error('a processor is broken') }
const injecting = (sound: NonNullable<ProxyOptions['tracing']>, name: string, value: string): ProxyOptions['tracing'] =>
  ({ ...sound, start: (...args) => Object.assign(sound.start(...args), { inject: (set: (name: string, value: string) => void) => set(name, value) }) })
let isRegistered = false
const broken: Record<string, (sound: NonNullable<ProxyOptions['tracing']>) => ProxyOptions['tracing']> = {
  fields: (sound) => ({ ...sound, get fields (): string[] { return isRegistered ? fail() : [] } }),
  start: (sound) => ({ ...sound, start: fail }),
  inject: (sound) => ({ ...sound, start: (...args) => Object.assign(sound.start(...args), { inject: fail }) }),
  'field with a line break': (sound) => injecting(sound, 'x-trace', 'a\r\nb: c'),
  'field without a value': (sound) => injecting(sound, 'x-trace', undefined as never),
  'field that delimits the message': (sound) => injecting(sound, 'Content-Length', '5'),
  'second Host': (sound) => injecting(sound, 'Host', 'other.example'),
  within: (sound) => ({ ...sound, start: (...args) => Object.assign(sound.start(...args), { within: fail }) }),
  'within, after the dial': (sound) => ({
    ...sound,
    start: (...args) => Object.assign(sound.start(...args), { within: (dial: () => unknown) => fail(dial() as never) })
  }),
  'within, twice': (sound) => ({
    ...sound,
    start: (...args) => Object.assign(sound.start(...args), { within: (dial: () => unknown) => fail([dial(), dial()] as never) })
  }),
  end: (sound) => ({ ...sound, start: (...args) => Object.assign(sound.start(...args), { end: fail }) })
}
for (const [what, make] of Object.entries(broken)) {
  test(`a tracing whose ${what} is wrong costs its span, and no exchange`, async (t) => {
    const log = recordLog('error')
    const upstream = await startRawUpstream(t, async (connection) => {
      for (;;) {
        const head = await connection.head()
        if (/^upgrade:/im.test(head)) return connection.write(switching(head))
        connection.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
      }
    })
    isRegistered = false
    const sound = { fields: [], start: () => ({ inject () {}, within: <T>(dial: () => T) => dial(), end () {} }) }
    const proxy = await startProxy(t, { upstream: upstream.url, tracing: make(sound) as never }, { fastify: { logger: log.logger } })
    isRegistered = true
    assert.equal(await statusOf(t, proxy.port, requestHead('GET', '/')), 200)
    const client = await rawClient(t, proxy.port)
    client.write(upgradeHead('/'))
    assert.equal((await client.response()).status, 101)
    await roundTrip({ client, upstream: upstream.connections.at(-1)! })
    assert.equal(upstream.connections.length, 2)
    assert.deepEqual(log.lines.map(({ msg }) => msg), ['tracing failed', 'tracing failed'])
  })
}

test("the key that hides attempts from other instrumentation is still OpenTelemetry's", () => {
  const require = createRequire(import.meta.url)
  const file = createRequire(require.resolve('@opentelemetry/sdk-trace-node')).resolve('@opentelemetry/core')
  const { suppressTracing } = require(file) as { suppressTracing: (of: typeof active) => typeof active }
  const active = context.active()
  assert.equal(suppressTracing(active).getValue(createContextKey('OpenTelemetry SDK Context Key SUPPRESS_TRACING')), true)
})

test('tracing that is none is an error that names it', async (t) => {
  await assert.rejects(startProxy(t, { upstream: 'ws://127.0.0.1:9/', tracing: {} as never }), /tracing: expected/)
})
