// Kills either side at seeded random points of the tunnel.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { kill, randomFrom, settles, world } from './world.ts'

const seed = Number(process.env.SEED ?? 20_261_122)

for (const side of ['client', 'upstream'] as const) {
  for (const how of ['end', 'destroy', 'reset'] as const) {
    test(`the ${side} leaves by ${how} at random points of a tunnel`, async (t) => {
      const random = randomFrom(seed)
      t.diagnostic(`SEED=${seed}`)
      const all = await world(t, { limits: { maxTunnels: 1 } })
      for (let round = 0; round < 100; round++) {
        const { client, upstream } = await all.tunnel()
        const [leaver, other] = side === 'client' ? [client, upstream] : [upstream, client]
        const length = Math.floor(random() * random() * 400_000)
        const at = Math.floor(random() * (length + 1))
        const echoes = random() < 0.5
        const reads = random() < 0.8
        let received = 0
        let flooding = true
        other.on('data', (chunk: Buffer) => {
          received += chunk.length
          if (echoes && flooding) other.write(chunk)
        })
        other.on('end', () => { flooding = false; other.end() })
        other.resume()
        if (reads) leaver.resume()
        if (random() < 0.5) other.write(Buffer.alloc(Math.floor(random() * 100_000)))
        let sent = 0
        while (sent < at) {
          const piece = Math.min(at - sent, 1 + Math.floor(random() * 40_000))
          leaver.write(Buffer.alloc(piece))
          sent += piece
          if (random() < 0.3) await new Promise((resolve) => setImmediate(resolve))
        }
        // Node reads a reset that comes together with bytes as their end: this one comes after them.
        const apart = !echoes && random() < 0.5
        if (apart) {
          const tunnel = all.record.opened.at(-1) as typeof all.record.opened[number]
          await settles(() => (side === 'client' ? tunnel.bytesFromClient : tunnel.bytesFromUpstream) === sent, () => `${sent} bytes at the proxy`)
        }
        kill(leaver, how)
        if (how === 'end') leaver.resume()
        await all.nothingLeft(`${how} of the ${side} in round ${round} of seed ${seed} after ${sent} bytes`)
        const { reason, by } = all.record.closed.at(-1) as typeof all.record.closed[number]
        // Whoever goes without having read everything resets the connection, also by a mere close().
        const allowed = how === 'end' ? [`${side}_close`] : how === 'reset' && apart ? [`${side}_reset`] : [`${side}_close`, `${side}_reset`]
        assert.ok(allowed.includes(reason) && by === side, `${reason} by ${by}, in round ${round} of seed ${seed}`)
        if (how === 'end') assert.equal(received, sent, 'every byte before the end arrives')
      }
      assert.equal(all.app.wstunnel.metrics().tunnels.refused.limit, 0)
    })
  }
}
