/** Upstreams over TLS: what is verified, and tunnels as over TCP. */
import { differences } from './differences.ts'
import { explained } from './explained.ts'
import { cases } from './scenarios-tunnels.ts'
import type { Scenario, Table, TlsTable } from './table.ts'
import { ask, handshake, head, ok, refused, says, switched, willing } from './words.ts'

const wss = (tls: TlsTable, name: string = 'A'): Table => ({ routes: [{ path: '/', upstream: `wss://${name}/` }], tls })
const verified: TlsTable = { verify: 'on' }

/** Each with its twin over TCP. */
const modes: Record<string, readonly [twin: string, table: Table]> = {
  wss: ['ws', wss(verified)],
  'wss, no fallback': ['ws, no fallback', { ...wss(verified), fallbackToHttp: false }],
  'https, upgrade': ['http, upgrade', { routes: [{ path: '/', upstream: 'https://A/', upgrade: 'websocket' }], tls: verified }]
}

type Explanation = Pick<Scenario, 'differs' | 'ours'>

const asIn: Explanation = {}
const unverified: Explanation = { differs: 'tls-verified', ours: refused(502, 'kept') }
const failed: Explanation = { differs: 'name-502', ours: refused(502, 'kept') }

const certificates: Record<string, readonly [TlsTable, Explanation]> = {
  'as it comes, a certificate of a stranger': [{ verify: 'unset', certificate: 'of a stranger' }, unverified],
  'as it comes, a certificate of an authority that nobody named': [{ verify: 'unset' }, unverified],
  'not to be verified, a certificate of a stranger': [{ verify: 'off', certificate: 'of a stranger' }, asIn],
  'not to be verified, a certificate for another name': [{ verify: 'off', certificate: 'for another name' }, asIn],
  'verified, a good certificate': [verified, asIn],
  'verified, TLS 1.1': [{ verify: 'on', maxVersion: 'TLSv1.1' }, failed],
  'verified, a certificate of a stranger': [{ verify: 'on', certificate: 'of a stranger' }, failed],
  'verified, a certificate for another name': [{ verify: 'on', certificate: 'for another name' }, failed],
  'verified, an expired certificate': [{ verify: 'on', certificate: 'expired' }, failed]
}

export const tls: readonly Scenario[] = explained([
  ...Object.entries(certificates).flatMap(([name, [table, explanation]]): Scenario[] => [
    { name: `tls / upgrade / ${name}`, table: wss(table), client: ask(handshake()), upstream: willing, ...explanation },
    { name: `tls / plain / ${name}`, table: wss(table), client: ask(head('GET /x')), upstream: willing, ...explanation },
    { name: `tls / no fallback / ${name}`, table: { ...wss(table), fallbackToHttp: false }, client: ask(handshake()), upstream: willing, ...explanation }
  ]),
  ...[['upgrade', handshake()], ['plain', head('GET /x')]].flatMap(([what, bytes]): Scenario[] => [
    {
      name: `tls / ${what as string} / an upstream that speaks no TLS`,
      table: wss(verified, 'plain'),
      client: ask(bytes as string),
      upstream: willing,
      ...failed
    },
    {
      name: `tls / ${what as string} / nobody listens`,
      table: wss(verified, 'refused'),
      client: ask(bytes as string),
      upstream: [],
      ...(what === 'upgrade' ? {} : { differs: 'keeps-connection', ours: refused(503, 'kept') })
    }
  ]),
  {
    name: 'tls / preserveHost does not change the name that is asked for',
    table: { ...wss(verified), preserveHost: true },
    client: ask(handshake()),
    upstream: willing,
    differs: 'tls-name',
    ours: switched().flatMap((line) => line.startsWith('A> GET') ? [line, '  (TLS for localhost)'] : [line.replace('host: {A}', 'host: front.example')])
  },
  { name: 'tls / a body', table: wss(verified), client: ask(head('POST /x', 'Content-Length: 5') + 'hello', 'POST'), upstream: says(ok()) },
  ...Object.entries(modes).flatMap(([mode, [twin, table]]) => Object.entries(cases).map(([name, [client, upstream]]): Scenario => ({
    name: `tls / ${mode} / ${name}`, table, client, upstream: [upstream], ...asOverTcp(`tunnels / ${twin} / ${name}`)
  })))
])

/** What differs over TCP differs over TLS in the same way. */
function asOverTcp (name: string): Explanation {
  const { differs, ours } = differences[name] ?? {}
  if (differs === undefined || ours === undefined) return {}
  return { differs, ours: ours.flatMap((line) => /^A> \S+ \S+ HTTP/.test(line) ? [line, '  (TLS for localhost)'] : [line]) }
}
