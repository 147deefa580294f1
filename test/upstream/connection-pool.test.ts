import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { parseAddress } from '../../lib/config/upstream-url.ts'
import type { Address } from '../../lib/config/upstream-url.ts'
import { ConnectionPool } from '../../lib/upstream/connection-pool.ts'
import type { Borrower } from '../../lib/upstream/connection-pool.ts'
import { cleanup } from '../fixtures/cleanup.ts'
import { startRawUpstream } from '../fixtures/upstream.ts'
import { until } from '../fixtures/wait.ts'

/** A pool with one connection, and the names of its borrowers in the order in which they got it. */
async function poolOfOne (t: TestContext): Promise<{ pool: ConnectionPool, served: string[], borrower: (name: string) => Borrower }> {
  const upstream = await startRawUpstream(t)
  const pool = new ConnectionPool({
    origin: upstream.httpUrl,
    dialOptions: { address: parseAddress(upstream.httpUrl) as Address, tls: {}, connectTimeout: 0, keepAlive: 0 },
    maxConnections: 1,
    timeout: 0,
    maxResponseHead: 16_384
  })
  cleanup(t, 'proxies', async () => await pool.destroy())
  const served: string[] = []
  return {
    pool,
    served,
    borrower: (name) => ({
      connected (connection) {
        served.push(name)
        void connection.destroy()
        pool.disconnected(connection)
      },
      unconnected (error) { throw error }
    })
  }
}

test('a newcomer does not overtake those that wait, in the turn in which a connection becomes free', async (t) => {
  const { pool, served, borrower } = await poolOfOne(t)
  const first = pool.wait(borrower('first'), false)
  pool.wait(borrower('second'), false)
  first.cancel()
  pool.wait(borrower('third'), false)
  await until(() => served.length === 2, 'both connections')
  assert.deepEqual(served, ['second', 'third'])
})
