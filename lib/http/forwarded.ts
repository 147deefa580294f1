/** The header fields that describe the client to an upstream: `X-Forwarded-*` and `Forwarded` (RFC 7239). */
import { isToken } from './syntax.ts'

/** The values of the option `forwarded`: the fields that describe the client to the upstream; `false` for none. */
export type ForwardedMode = 'x-forwarded' | 'forwarded' | 'both' | false

// Returns true if a field, by its lower-case name, describes the client. An upstream must be able to trust these fields, so the client's
// own are dropped.
export function isAboutTheClient (key: string): boolean {
  return key === 'forwarded' || key.startsWith('x-forwarded-')
}

// The fields that this server writes itself.
const xForwarded: ReadonlySet<string> = new Set(['x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto'])
const isNone = (): boolean => false
const isXForwarded = (key: string): boolean => xForwarded.has(key)
const isForwarded = (key: string): boolean => key === 'forwarded'
const isKnown = (key: string): boolean => isForwarded(key) || isXForwarded(key) || key === 'x-forwarded-port' || key === 'x-forwarded-server'

/**
 * Returns a function that says which of the fields about the client are dropped. For an untrusted peer: all of them, `X-Forwarded-*` of any
 * name. For a trusted proxy: those that this server writes anew from what the proxy sent. With the option off: none.
 */
export function droppedFields (mode: ForwardedMode, trusted: boolean): (key: string) => boolean {
  if (mode === false) return isNone
  if (!trusted) return isAboutTheClient
  if (mode === 'both') return isKnown
  return mode === 'forwarded' ? isForwarded : isXForwarded
}

/** The client's address, host and protocol, as far as Fastify's `trustProxy` trusts them. */
export interface ClientFacts {
  /** The peer's address, then the addresses that trusted proxies named, nearest first. Empty on a unix socket. */
  readonly addresses: readonly string[]
  readonly host: string
  readonly protocol: string
}

/** Returns the fields that describe the client (httpd: ProxyAddHeaders; RFC 7239). */
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

/** Returns the value of `Forwarded` (RFC 7239, 4): one element per hop. The first element carries the host and protocol, which this server knows itself. */
function forwardedField (client: ClientFacts): string {
  const hops = client.addresses.length > 0 ? client.addresses.toReversed().map((address) => `for=${node(address)}`) : ['for=unknown']
  const host = client.host === '' ? '' : `;host=${quote(client.host)}`
  hops[0] += `${host};proto=${quote(client.protocol)}`
  return hops.join(', ')
}

/** Returns a node identifier (RFC 7239, 6): an IPv6 address stands in brackets, and therefore in quotes; anything that is no address becomes `unknown`. */
function node (address: string): string {
  if (address.includes(':')) return /^[0-9a-f:.]+$/i.test(address) ? `"[${address}]"` : 'unknown'
  return /^[0-9.]+$/.test(address) ? address : 'unknown'
}

function quote (value: string): string {
  return isToken(value) ? value : `"${value.replace(/[\\"]/g, '\\$&')}"`
}
