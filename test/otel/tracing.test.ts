import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { after, before, beforeEach, describe, test } from 'node:test'
import { context, createContextKey, propagation, SpanKind, trace } from '@opentelemetry/api'
import { UndiciInstrumentation } from '@opentelemetry/instrumentation-undici'
import { InMemorySpanExporter, NodeTracerProvider, type ReadableSpan, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node'
import { tracing } from '../../lib/otel/index.ts'
import { rawClient, upgradeHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { openTunnel } from '../fixtures/tunnel.ts'
import { startHttpUpstream, startRawUpstream } from '../fixtures/upstream.ts'

const exporter = new InMemorySpanExporter()
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
const trace1 = '0af7651916cd43dd8448eb211c80319c'
const traceparent = `00-${trace1}-b7ad6b7169203331-01`

const clientSpans = (): ReadableSpan[] => exporter.getFinishedSpans().filter(({ kind }) => kind === SpanKind.CLIENT)

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

    for (const sent of [traceparent, undefined]) {
      test(`a forward has one span and one traceparent, ${sent === undefined ? 'without' : 'with'} a client's`, async (t) => {
        const seen: string[] = []
        const upstream = await startHttpUpstream(t, (request, response) => {
          for (let i = 0; i < request.rawHeaders.length; i += 2) if (request.rawHeaders[i]?.toLowerCase() === 'traceparent') seen.push(request.rawHeaders[i + 1] as string)
          response.end('ok')
        })
        const proxy = await startProxy(t, { upstream: upstream.url, tracing: tracing() })
        const client = await rawClient(t, proxy.port)
        client.write(`GET / HTTP/1.1\r\nHost: a\r\n${sent === undefined ? '' : `traceparent: ${sent}\r\n`}\r\n`)
        assert.equal((await client.response()).status, 200)
        const [span] = clientSpans()
        assert.deepEqual([clientSpans().length, seen], [1, [`00-${span?.spanContext().traceId}-${span?.spanContext().spanId}-01`]])
        if (sent !== undefined) assert.deepEqual([span?.spanContext().traceId, span?.parentSpanContext?.spanId], [trace1, 'b7ad6b7169203331'])
        assert.equal(span?.attributes['http.response.status_code'], 200)
      })

      test(`a handshake has one span, ended at the 101, and one traceparent, ${sent === undefined ? 'without' : 'with'} a client's`, async (t) => {
        const upstream = await startRawUpstream(t)
        const proxy = await startProxy(t, { upstream: upstream.url, tracing: tracing() })
        const { head } = await openTunnel(t, proxy, upstream, '/', { headers: { traceparent: sent } })
        const [span] = clientSpans()
        const seen = [...head.matchAll(/^traceparent: (.*)$/gim)].map(([, value]) => value?.trim())
        assert.deepEqual([clientSpans().length, seen], [1, [`00-${span?.spanContext().traceId}-${span?.spanContext().spanId}-01`]])
        if (sent !== undefined) assert.equal(span?.spanContext().traceId, trace1)
        assert.equal(span?.attributes['wstunnel.kind'], 'upgrade')
      })
    }

    test('forwards that share a full pool have each their own parent', async (t) => {
      const seen = new Map<string, string>()
      const upstream = await startHttpUpstream(t, (request, response) => {
        seen.set(request.url ?? '', String(request.headers.traceparent))
        setImmediate(() => response.end('ok'))
      })
      const proxy = await startProxy(t, { upstream: upstream.url, limits: { maxConnectionsPerUpstream: 1 }, tracing: tracing() })
      const ids = Array.from({ length: 6 }, (_, i) => `${i + 1}`.repeat(32))
      await Promise.all(ids.map(async (id) => {
        const client = await rawClient(t, proxy.port)
        client.write(`GET /${id} HTTP/1.1\r\nHost: a\r\ntraceparent: 00-${id}-b7ad6b7169203331-01\r\n\r\n`)
        await client.response()
      }))
      assert.deepEqual(ids.map((id) => seen.get(`/${id}`)?.split('-')[1]), ids)
      assert.equal(clientSpans().length, 6)
    })
  })
}

test('a refused and a failed handshake end their spans with it', async (t) => {
  const upstream = await startRawUpstream(t, async (connection) => {
    await connection.head()
    connection.write('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n')
  })
  const proxy = await startProxy(t, { tracing: tracing(), routes: [{ path: '/dead/', upstream: 'ws://127.0.0.1:9/' }, { path: '/', upstream: `${upstream.url}/` }] })
  for (const path of ['/', '/dead/']) {
    const client = await rawClient(t, proxy.port)
    client.write(upgradeHead(path))
    await client.response()
  }
  assert.deepEqual(clientSpans().map(({ attributes }) => attributes['http.response.status_code'] ?? typeof attributes['error.type']), [403, 'string'])
})

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
