/** Bytes around the switch, and the ends of tunnels. */
import { bytes, ended, fin, ifSwitched, reset, response, send, signal, switching, unlessEnded, when } from './steps.ts'
import type { ClientStep, UpstreamStep } from './ends.ts'
import { explained } from './explained.ts'
import type { Scenario, Table } from './table.ts'
import { handshake, head, httpUp, ok, reply, says, ws, wsOff } from './words.ts'

const big = 'x'.repeat(300_000)
const modes: Record<string, Table> = { ws, 'ws, no fallback': wsOff, 'http, upgrade': httpUp }

/** Both ends' scripts of tunnels, whatever they go over. */
export const cases: Record<string, readonly [client: readonly ClientStep[], upstream: readonly UpstreamStep[]]> = {
  'bytes with the 101': [
    [send(handshake()), response(), bytes(5), fin(), ended()],
    [switching({}, 'hello'), ended(), fin()]
  ],
  'bytes with the handshake': [
    [send(handshake() + 'early'), response(), bytes(4), fin(), ended()],
    [switching(), bytes(5), send('late'), ended(), fin()]
  ],
  'bytes before the 101': [
    [send(handshake()), when('request'), send('early'), signal('sent'), response(), bytes(4), fin(), ended()],
    [when('sent'), switching(), bytes(5), send('late'), ended(), fin()]
  ],
  'the head in pieces': [
    [send(handshake().slice(0, 30)), send(handshake().slice(30)), response(), bytes(5), fin(), ended()],
    [
      send('HTTP/1.1 101 Swit'),
      (end) => {
        end.write('ching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nhello')
      },
      ended(),
      fin()
    ]
  ],
  'much, both ways': [
    [send(handshake()), response(), send(big), bytes(big.length), fin(), ended()],
    [switching(), bytes(big.length), send(big), ended(), fin()]
  ],
  'the client ends first, the upstream talks on': [
    [send(handshake()), response(), send('last'), fin(), ended()],
    [switching(), bytes(4), ended(), send('goodbye'), fin()]
  ],
  'the upstream ends first, the client talks on': [
    [send(handshake()), response(), ended(), send('goodbye'), fin()],
    [switching({}, 'last'), fin(), ended()]
  ],
  'the client resets': [
    [send(handshake()), response(), send('ping'), bytes(4), reset()],
    [switching(), bytes(4), send('pong'), ended()]
  ],
  'the upstream resets': [
    [send(handshake()), response(), send('ping'), ended()],
    [switching(), bytes(4), reset()]
  ],
  'the client ends before the answer': [
    [send(handshake()), when('request'), fin(), signal('left'), response(), ended()],
    [when('left'), unlessEnded(switching({}, 'hello'), ended()), fin()]
  ],
  'the client resets before the answer': [
    [send(handshake()), when('request'), reset()],
    [unlessEnded(switching({}, 'hello'), ended()), fin()]
  ],
  'bytes of HTTP in the tunnel': [
    [send(handshake()), response(), send(head('GET /admin')), response(), fin(), ended()],
    [switching(), bytes(10), send(ok('tunnelled')), ended(), fin()]
  ]
}

const quick: Table = { ...ws, timeout: 1 }
const quickOff: Table = { ...wsOff, timeout: 1 }

export const tunnels: readonly Scenario[] = explained([
  ...Object.entries(modes).flatMap(([mode, table]) => Object.entries(cases).map(([name, [client, upstream]]): Scenario => ({
    name: `tunnels / ${mode} / ${name}`, table, client, upstream: [upstream]
  }))),
  ...Object.entries(modes).flatMap(([mode, table]): Scenario[] => [
    {
      name: `tunnels / ${mode} / bytes with a handshake that is refused`,
      table,
      client: [send(handshake('/chat') + head('GET /admin')), response(), ifSwitched(ended())],
      upstream: says(reply('403 Forbidden', 'no'), ok('second'))
    },
    {
      name: `tunnels / ${mode} / bytes after a refusal`,
      table,
      client: [send(handshake()), response(), send('\x81\x80\x01\x02\r\n\r\n'), response(), fin(), ended()],
      upstream: table === wsOff ? [[send(reply('403 Forbidden', 'no')), ended(), fin()]] : says(reply('403 Forbidden', 'no'))
    }
  ]),
  {
    name: 'tunnels / an idle tunnel', table: quick, client: [send(handshake()), response(), ended()], upstream: [[switching({}, 'hello'), ended()]]
  },
  {
    name: 'tunnels / an idle tunnel, no fallback',
    table: quickOff,
    client: [send(handshake()), response(), ended()],
    upstream: [[switching({}, 'hello'), ended()]]
  }
])
