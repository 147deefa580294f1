import fc from 'fast-check'
import { test } from 'node:test'
import { cases, check, startTeller } from '../fuzz/routing.ts'

// `ROUTING_TABLES=4000` asks 100,000 requests.
const tables = Number(process.env.ROUTING_TABLES ?? 40)

test(`the entry that decides is the entry whose hooks ran: ${tables} tables of 25 requests each`, async (t) => {
  const teller = await startTeller()
  t.after(() => teller.close())
  await fc.assert(
    fc.asyncProperty(cases, async (each) => { await check(each, teller.port) }),
    { numRuns: tables, ...(process.env.ROUTING_SEED === undefined ? {} : { seed: Number(process.env.ROUTING_SEED) }) }
  )
})
