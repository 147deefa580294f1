/** The fields that tell an upstream who asked: `X-Forwarded-*` and `Forwarded` (RFC 7239). */
import { isToken } from './syntax.ts'

/** Which fields tell the upstream who asked: see the option `forwarded`. */
export type ForwardedMode = 'x-forwarded' | 'forwarded' | 'both' | false

// The fields that say who asked. An upstream must be able to believe them, so a client's own are dropped.
export function isAboutTheClient (key: string): boolean {
  return key === 'forwarded' || key.startsWith('x-forwarded-')
}

// Those that we write ourselves.
const xForwarded: ReadonlySet<string> = new Set(['x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto'])
const isNone = (): boolean => false
const isXForwarded = (key: string): boolean => xForwarded.has(key)
const isForwarded = (key: string): boolean => key === 'forwarded'
const isKnown = (key: string): boolean => isForwarded(key) || isXForwarded(key) || key === 'x-forwarded-port' || key === 'x-forwarded-server'

/**
 * Which of the fields that say who asked do not pass: all of them, `X-Forwarded-*` of any name; of a trusted proxy, those that we
 * write anew from what it said; none if the option is off.
 */
export function droppedFields (mode: ForwardedMode, trusted: boolean): (key: string) => boolean {
  if (mode === false) return isNone
  if (!trusted) return isAboutTheClient
  if (mode === 'both') return isKnown
  return mode === 'forwarded' ? isForwarded : isXForwarded
}

/** Who asked, as Fastify's `trustProxy` lets us believe it. */
export interface ClientFacts {
  /** The peer's own address, and after it those that trusted proxies named: nearest first. None on a unix socket. */
  readonly addresses: readonly string[]
  readonly host: string
  readonly protocol: string
}

/** The fields that say who asked (httpd: ProxyAddHeaders; RFC 7239). */
export function forwardedHeaders (mode: ForwardedMode, client: ClientFacts): string[] {
  const out: string[] = []
  if (mode === 'x-forwarded' || mode === 'both') {
    if (client.addresses.length > 0) out.push('X-Forwarded-For', client.addresses.toReversed().join(', '))
    if (client.host !== '') out.push('X-Forwarded-Host', client.host)
    out.push('X-Forwarded-Proto', client.protocol)
  }
  if (mode === 'forwarded' || mode === 'both') out.push('Forwarded', forwardedField(client))
  return out
}

/** RFC 7239, 4: one element a hop; what we know ourselves of host and protocol goes with the first. */
function forwardedField (client: ClientFacts): string {
  const hops = client.addresses.length > 0 ? client.addresses.toReversed().map((address) => `for=${node(address)}`) : ['for=unknown']
  const host = client.host === '' ? '' : `;host=${quote(client.host)}`
  hops[0] += `${host};proto=${quote(client.protocol)}`
  return hops.join(', ')
}

/** RFC 7239, 6: an IPv6 address stands in brackets and so in quotes; what is no address is `unknown`. */
function node (address: string): string {
  if (address.includes(':')) return /^[0-9a-f:.]+$/i.test(address) ? `"[${address}]"` : 'unknown'
  return /^[0-9.]+$/.test(address) ? address : 'unknown'
}

function quote (value: string): string {
  return isToken(value) ? value : `"${value.replace(/[\\"]/g, '\\$&')}"`
}
