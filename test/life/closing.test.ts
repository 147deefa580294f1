// What a connection that existed before close() is told.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rawClient, requestHead, upgradeHead } from '../fixtures/client.ts'
import { http1Only } from '../fixtures/front.ts'
import { stage } from '../fixtures/stage.ts'
import { openTunnel, roundTrip } from '../fixtures/tunnel.ts'
import { until, within } from '../fixtures/wait.ts'

const skipped = http1Only('a session begins nothing after GOAWAY')
test('during close() an upgrade on a connection that exists is a 503 with Retry-After, and live tunnels go on', skipped, async (t) => {
  const all = await stage(t, { drainTimeout: '60s' })
  const { client, upstream } = await openTunnel(t, all.proxy, all.upstream)
  const late = await rawClient(t, all.proxy.port)
  late.write('GET / HTTP/1.1\r\n')
  const other = await rawClient(t, all.proxy.port)
  other.write(requestHead('GET', '/'))
  const plain = await all.upstream.next()
  await plain.head() // a forward under way
  const closing = all.proxy.app.close()
  await until(() => all.proxy.app.wstunnel.metrics().draining, 'the drain to begin')
  late.write(upgradeHead('/').replace('GET / HTTP/1.1\r\n', ''))
  const { status, headers } = await late.response()
  assert.equal(status, 503)
  assert.match(headers['retry-after']?.[0] ?? '', /^\d+$/)
  assert.equal(all.proxy.app.wstunnel.metrics().tunnels.refused.limit, 1)
  await roundTrip({ client, upstream })
  plain.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  assert.equal(String((await other.response()).body), 'ok')
  client.end()
  await upstream.ended
  upstream.end()
  await within(closing, 'close(), once the last tunnel has ended', 5000)
  assert.deepEqual(all.record.closed.map(({ reason }) => reason), ['client_close'])
})
