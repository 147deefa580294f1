// In a file of its own: no provider and no propagator is registered in this process.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { tracing } from '../../lib/otel/index.ts'
import { rawClient, requestHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { openTunnel } from '../fixtures/tunnel.ts'
import { headersOf, startRawUpstream } from '../fixtures/upstream.ts'

const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

test('where nothing of OpenTelemetry is set up, what a client sends passes, and nothing is added', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.url, tracing: tracing() })
  for (const sent of [[traceparent], []]) {
    const { head, client } = await openTunnel(t, proxy, upstream, '/', { headers: { traceparent: sent } })
    assert.deepEqual(headersOf(head, 'traceparent'), sent)
    client.destroy()
    const other = await rawClient(t, proxy.port)
    other.write(requestHead('GET', '/', { traceparent: sent }))
    assert.deepEqual(headersOf(await (await upstream.next()).head(), 'traceparent'), sent)
    other.destroy()
  }
})
