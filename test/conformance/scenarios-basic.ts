/** Where each mode does what it is for. */
import type { Scenario } from './table.ts'
import { ask, handshake, head, http, httpUp, says, seen, willing, ws, wsOff, ok, reply } from './words.ts'

const tables = { ws, 'ws, no fallback': wsOff, http, 'http, upgrade=websocket': httpUp }

const refusal = ['< 403 Forbidden', '  content-type: text/plain', '  x-from: upstream', '  body "no"', '< fin', ...seen('GET /chat', 'websocket')]

export const basic: readonly Scenario[] = [
  ...Object.entries(tables).flatMap(([name, table]): Scenario[] => [
    { name: `basic / ${name} / a WebSocket`, table, client: ask(handshake()), upstream: willing },
    { name: `basic / ${name} / a plain GET`, table, client: ask(head('GET /x?a=b')), upstream: willing },
    {
      name: `basic / ${name} / a refused WebSocket`,
      table,
      client: ask(handshake()),
      upstream: says(reply('403 Forbidden', 'no', 'Content-Type: text/plain')),
      ...(table === wsOff
        ? {
            differs: 'no-blind-tunnel',
            ours: refusal
          }
        : table === http ? {} : { differs: 'refused-upgrade', ours: refusal })
    }
  ]),
  { name: 'basic / a body', table: ws, client: ask(head('POST /', 'Content-Length: 5') + 'hello', 'POST'), upstream: says(ok()) }
]
