/** The address of an upstream: the URL of a target, parsed once. Client bytes never reach this file. */

/** An upstream's address. */
export interface Address {
  /** The address for metrics and logs: scheme, host, port and path; never credentials. */
  readonly label: string
  /** True if the URL's scheme was `ws` or `wss`. */
  readonly webSocket: boolean
  readonly secure: boolean
  /** The value of `Host`: without the scheme's default port. */
  readonly authority: string
  /** A name or an IP address, without brackets. */
  readonly hostname: string
  readonly port: number
  /** The path of a unix socket, which replaces host and port. */
  readonly socketPath: string | undefined
  /** The path of the URL; empty if the URL had none. */
  readonly path: string
}

const schemes: Readonly<Record<string, { webSocket: boolean, secure: boolean, port: number }>> = {
  'ws:': { webSocket: true, secure: false, port: 80 },
  'wss:': { webSocket: true, secure: true, port: 443 },
  'http:': { webSocket: false, secure: false, port: 80 },
  'https:': { webSocket: false, secure: true, port: 443 }
}

/** The forms of an upstream string, for error messages. */
export const expectedAddress = 'a ws:, wss:, http: or https: URL without credentials, query and fragment, or unix:/path|URL'

/** Parses an upstream's address; returns `undefined` if the text is none. httpd's form for unix sockets: `unix:/path|ws://host/`. */
export function parseAddress (text: string): Address | undefined {
  const unix = /^unix:([^|]+)\|(.+)$/.exec(text)
  const socketPath = unix?.[1]
  if (socketPath !== undefined && !/^[\x20-\x7e]+$/.test(socketPath)) return undefined
  const source = unix === null ? text : unix[2] as string
  if (!URL.canParse(source)) return undefined
  const url = new URL(source)
  const scheme = schemes[url.protocol]
  if (scheme === undefined || url.hostname === '') return undefined
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') return undefined
  // The URL standard knows the default ports of ws and wss as well, so `host` leaves them out.
  return Object.freeze({
    label: socketPath === undefined ? url.href : `unix:${socketPath}|${url.href}`,
    webSocket: scheme.webSocket,
    secure: scheme.secure,
    authority: url.host,
    hostname: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? scheme.port : Number(url.port),
    socketPath,
    path: /^[a-z]+:\/\/[^/]*$/i.test(source) ? '' : url.pathname
  })
}

export function isAddress (text: string): boolean {
  return parseAddress(text) !== undefined
}

/** A balancer, and the path below the members' own: `balancer://name/path`. */
export interface BalancerRef {
  readonly balancer: string
  readonly path: string
}

export const expectedUpstream: string = `${expectedAddress}, or balancer://name/path`

export function isUpstream (text: string): boolean {
  return (parseBalancerRef(text) ?? parseAddress(text)) !== undefined
}

/** Parses the URL of a balancer; returns `undefined` if the text is none. */
export function parseBalancerRef (text: string): BalancerRef | undefined {
  const match = /^balancer:\/\/([a-z0-9][a-z0-9_.-]*)(\/[\x21-\x7e]*)?$/i.exec(text)
  if (match === null || /[?#\\]|\/\.{1,2}(\/|$)/.test(match[2] ?? '')) return undefined
  return Object.freeze({ balancer: match[1] as string, path: match[2] ?? '' })
}
