/** Where an upstream is: the URL of a target, taken apart once. Client bytes never come here. */

/** An upstream's address. */
export interface Address {
  /** As shown in metrics and logs: scheme, host, port and path; never credentials. */
  readonly label: string
  /** Whether the URL's scheme was `ws` or `wss`. */
  readonly webSocket: boolean
  readonly secure: boolean
  /** What is sent as Host: without the scheme's default port. */
  readonly authority: string
  /** A name or an IP address, without brackets. */
  readonly hostname: string
  readonly port: number
  /** A unix socket, which is dialled instead of host and port. */
  readonly socketPath: string | undefined
  /** The path of the URL; empty where it was written without one. */
  readonly path: string
}

const schemes: Readonly<Record<string, { webSocket: boolean, secure: boolean, port: number }>> = {
  'ws:': { webSocket: true, secure: false, port: 80 },
  'wss:': { webSocket: true, secure: true, port: 443 },
  'http:': { webSocket: false, secure: false, port: 80 },
  'https:': { webSocket: false, secure: true, port: 443 }
}

/** What an upstream string may look like, for error messages. */
export const expectedAddress = 'a ws:, wss:, http: or https: URL without credentials, query and fragment, or unix:/path|URL'

/** `undefined` where the text is no address of an upstream. httpd's form for unix sockets: `unix:/path|ws://host/`. */
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
  // Of ws and wss the URL standard knows the default port as well, so that `host` leaves it out.
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

/** A balancer, and the path below its members' own: `balancer://name/path`. */
export interface BalancerRef {
  readonly balancer: string
  readonly path: string
}

export const expectedUpstream: string = `${expectedAddress}, or balancer://name/path`

export function isUpstream (text: string): boolean {
  return (parseBalancerRef(text) ?? parseAddress(text)) !== undefined
}

/** `undefined` where the text names no balancer. */
export function parseBalancerRef (text: string): BalancerRef | undefined {
  const match = /^balancer:\/\/([a-z0-9][a-z0-9_.-]*)(\/[\x21-\x7e]*)?$/i.exec(text)
  if (match === null || /[?#\\]|\/\.{1,2}(\/|$)/.test(match[2] ?? '')) return undefined
  return Object.freeze({ balancer: match[1] as string, path: match[2] ?? '' })
}
