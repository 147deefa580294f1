// A few cases of each property of bounds.ts, and of front-http2.ts; `npm run fuzz` has more. `BOUNDS_RUNS` says how many.
import fc from 'fast-check'
import { after, test } from 'node:test'
import { Bounds, boundsProperties } from './bounds.ts'
import { frontProperty } from './front-http2.ts'

const runs = Number(process.env.BOUNDS_RUNS ?? 40)
const bounds = new Bounds()

after(() => bounds.close())

for (const { name, arbitrary, check } of [...boundsProperties(bounds), frontProperty(bounds)]) {
  test(`${name}, ${runs} cases`, { timeout: 120_000 }, async () => {
    const seed = process.env.BOUNDS_SEED
    await fc.assert(
      fc.asyncProperty(arbitrary, async (value) => { await check(value as never) }),
      { numRuns: runs, endOnFailure: true, ...(seed === undefined ? {} : { seed: Number(seed) }) }
    )
  })
}
