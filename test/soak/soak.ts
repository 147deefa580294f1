// Hours of a server's life, in minutes. Prints figures and the seed; ends with 1 where anything is wrong.
//
//   npm run soak                                  two minutes
//   npm run soak -- --minutes 30 --seed 42        longer, repeated
//   npm run soak -- --only flood                  1 GiB through tunnels whose peers do not read
//   npm run soak -- --short                       as in CI: half a minute, fewer tunnels and clients
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { parseArgs } from 'node:util'
import { chaos } from './chaos.ts'
import { closing } from './closing.ts'
import { deploy } from './deploy.ts'
import { streams } from './streams.ts'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    short: { type: 'boolean', default: false },
    tunnels: { type: 'string' },
    clients: { type: 'string' },
    only: { type: 'string' }
  }
})
const sizes = values.short ? { minutes: 0.5, tunnels: 1000, clients: 200 } : { minutes: 2, tunnels: 5000, clients: 1000 }
const minutes = Number(values.minutes ?? sizes.minutes)
const tunnels = Number(values.tunnels ?? sizes.tunnels)
const clients = Number(values.clients ?? sizes.clients)
const seed = Number(values.seed)
if (!(minutes > 0) || !Number.isInteger(seed)) throw new Error('--minutes takes a number above 0, --seed an integer')

console.log(`soak on ${process.version}: --minutes ${minutes} --seed ${seed} --tunnels ${tunnels} --clients ${clients}`)
const parts: Record<string, () => Promise<void>> = {
  ...(values.short ? {} : { flood: () => testFile('test/life/backpressure.test.ts', { FLOOD_MIB: '1024' }) }),
  chaos: () => chaos(minutes, seed),
  streams: () => streams(minutes / 5, seed, tunnels),
  closing: () => closing(tunnels),
  deploy: () => deploy(clients, seed)
}
async function testFile (path: string, env: NodeJS.ProcessEnv): Promise<void> {
  const args = ['--import', 'tsx', '--test', '--test-reporter=spec', path]
  const [code] = await once(spawn(process.execPath, args, { stdio: 'inherit', env: { ...process.env, ...env } }), 'exit')
  if (code !== 0) throw new Error(`${path} ended with ${code}`)
}

try {
  for (const [name, part] of Object.entries(parts)) {
    if (values.only === undefined || values.only === name) await part()
  }
  console.log('soak: all well')
} catch (error) {
  console.error(error)
  process.exit(1) // whatever is still open
}
