// Runs tests again and again until one fails: a flake that comes once in twenty runs shows here.
//
//   npm run test:repeat                  test/life, 20 times
//   npm run test:repeat -- 5 wss limits  the files whose path contains one of the words, 5 times

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const [first = '20', ...words] = process.argv.slice(2)
const times = Number(first)
if (!Number.isInteger(times) || times < 1) throw new Error(`how often? got ${first}`)
const script = fileURLToPath(new URL('test-unit.ts', import.meta.url))

for (let run = 1; run <= times; run++) {
  const start = performance.now()
  const { status, stdout } = spawnSync(process.execPath, ['--import', 'tsx', script, ...words.length > 0 ? words : ['test/life/']], {
    stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 1 << 28
  })
  const seconds = ((performance.now() - start) / 1000).toFixed(0)
  if (status !== 0) {
    process.stdout.write(stdout)
    console.log(`run ${run} of ${times} failed after ${seconds} s`)
    process.exit(1)
  }
  console.log(`run ${run} of ${times}: all passed, in ${seconds} s`)
}
