import { test } from 'node:test'
import { balance } from '../soak/balance.ts'

test('tunnels over five processes, while one is killed, one drained, one added and one flaps', { timeout: 60_000 }, async (t) => {
  const seed = Date.now() % 1_000_000
  t.diagnostic(`seed ${seed}`) // npm run balance -- --tunnels 150 --seed …
  await balance(150, seed)
})
