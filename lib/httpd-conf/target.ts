/** The target of a ProxyPass line, a rewrite rule or a member. */

export type Scheme = 'http' | 'https' | 'ws' | 'wss' | 'balancer'

export interface Target {
  readonly scheme: Scheme
  /** The authority: `host` or `host:port`, or a balancer's name. */
  readonly authority: string
  /** The path of a unix socket, which replaces the authority for the dial. */
  readonly socketPath: string | undefined
  /** The path that replaces the prefix. Empty if the URL has none. */
  readonly path: string
}

const targetUrl = /^(?:unix:([^|\s]+)\|)?(https?|wss?|balancer):\/\/([^/?#\s]*)([^?#]*)$/i

/** Parses a URL; returns a text with the reason if this plugin cannot use it. */
export function parseTarget (url: string): Target | string {
  const match = url.length > 2048 ? null : targetUrl.exec(url)
  if (match === null) {
    const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(url)?.[1]
    if (scheme !== undefined && !/^(https?|wss?|balancer|unix)$/i.test(scheme)) return `the scheme ${scheme}:, for which there is no upstream here`
    return /[?#]/.test(url) ? 'a target with a query or a fragment' : 'a target that is not the URL of an upstream'
  }
  const [, socketPath, scheme = '', authority = '', path = ''] = match
  if (/[$%]/.test(authority)) return 'a host or port that a request chooses: a client could reach any server through it'
  if (authority.includes('@')) return 'credentials in a URL'
  if (path !== '' && (!/^\/[\x21-\x7e]*$/.test(path) || /\\|\/\.{1,2}(\/|$)/.test(path))) {
    return 'a path with a backslash, a dot segment or a character outside of visible ASCII'
  }
  const target = { scheme: scheme.toLowerCase() as Scheme, authority: authority.toLowerCase(), socketPath, path }
  if (target.scheme === 'balancer') {
    if (socketPath !== undefined) return 'a balancer behind a unix socket'
    return /^[a-z0-9][a-z0-9_.-]*$/.test(target.authority) ? target : 'a balancer whose name has other characters than letters, digits, - . and _'
  }
  if (socketPath !== undefined && !/^\/[\x21-\x7e]*$/.test(socketPath)) return 'a unix socket whose path is not absolute, or not visible ASCII'
  // With a socket before it, any text would parse as a URL of the scheme `unix:`.
  const isUrl = authority !== '' && URL.canParse(urlOf({ ...target, socketPath: undefined })) && !/:\d*\D/.test(authority.replace(/^\[.*\]/, ''))
  return isUrl ? target : 'a target that is not the URL of an upstream'
}

export function urlOf ({ scheme, authority, socketPath, path }: Target): string {
  return `${socketPath === undefined ? '' : `unix:${socketPath}|`}${scheme}://${authority}${path}`
}

export function isWebSocket ({ scheme }: Target): boolean {
  return scheme === 'ws' || scheme === 'wss'
}

export function isSecure ({ scheme }: Target): boolean {
  return scheme === 'https' || scheme === 'wss'
}

/** Returns true if both are the same server; http and ws count as equal. */
export function isSameServer (a: Target, b: Target): boolean {
  return withPort(a) === withPort(b) && a.socketPath === b.socketPath && isSecure(a) === isSecure(b) &&
    (a.scheme === 'balancer') === (b.scheme === 'balancer')
}

function withPort (target: Target): string {
  const { authority, scheme } = target
  if (scheme === 'balancer' || /:\d+$/.test(authority)) return authority
  return `${authority.replace(/:$/, '')}:${isSecure(target) ? 443 : 80}`
}

/** Returns notes about paths for which httpd joins the rest of the path to the target in another way than this plugin. */
export function joinCautions (from: string, { path, authority, scheme }: Target): string[] {
  const url = `${scheme}://${authority}${path}`
  if (path === '' && from.endsWith('/')) return [`httpd puts what follows ${from} directly behind ${url}, and answers 500; here there is a slash between them`]
  if (from === '/' && !path.endsWith('/')) return [`httpd sends /x to ${path}x, and this translation to ${path}/x; end the target with a slash`]
  if (path === '/' && !from.endsWith('/')) return [`httpd sends ${from}/x to //x, and this translation to /x; end both with a slash, or neither`]
  return path.startsWith('//') ? ['httpd sends a path that begins with two slashes, and this translation with one'] : []
}
