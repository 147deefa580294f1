// Hours of a server's life, in minutes. Prints figures and the seed; ends with 1 where anything is wrong.
//
//   npm run soak                                  two minutes
//   npm run soak -- --minutes 30 --seed 42        longer, repeated
//   npm run soak -- --minutes 0.5 --tunnels 1000  as in CI
import { parseArgs } from 'node:util'
import { chaos } from './chaos.ts'
import { closing } from './closing.ts'
import { deploy } from './deploy.ts'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '2' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    tunnels: { type: 'string', default: '5000' },
    clients: { type: 'string', default: '300' },
    only: { type: 'string' }
  }
})
const minutes = Number(values.minutes)
const seed = Number(values.seed)
if (!(minutes > 0) || !Number.isInteger(seed)) throw new Error('--minutes takes a number above 0, --seed an integer')

console.log(`soak on ${process.version}: --minutes ${minutes} --seed ${seed} --tunnels ${values.tunnels} --clients ${values.clients}`)
const parts: Record<string, () => Promise<void>> = {
  chaos: () => chaos(minutes, seed),
  closing: () => closing(Number(values.tunnels)),
  deploy: () => deploy(Number(values.clients), seed)
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
