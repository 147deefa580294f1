/** A configuration of somebody's, made so that it runs here: its upstreams are ours, and so is where it listens. */

export interface Localised {
  text: string
  /** Who has to be there: by its port's place holder, the group that it belongs to, and whether it speaks TLS. */
  upstreams: UpstreamNeed[]
  /** The addresses of virtual hosts, as `*:443`, in the order of the text. */
  addresses: string[]
}

export interface UpstreamNeed {
  /** As the configuration has it, with its port, and whether it speaks TLS. */
  name: string
  /** What an answer of it is called: the balancer's name for members, which are one to whoever asks. */
  group: string
  tls: boolean
}

const authority = /\b(https?|wss?):\/\/([a-z0-9.-]+)(?::(\d+))?(?=[/"'\s%$]|$)/gi
const proxies = /^\s*(?:<Proxy\b|ProxyPass|BalancerMember|ProxySet|RewriteRule\b.*\[[^\]]*\b(?:P|proxy)\b)/i

/** Finds upstreams and addresses. `portOf` gives each its port; asked twice for the same it answers the same. */
export function localise (text: string, portOf: (need: UpstreamNeed) => number, addressOf: (address: string) => string): Localised {
  const upstreams = new Map<string, UpstreamNeed>()
  const addresses: string[] = []
  let group: string | undefined
  const lines = text.split('\n').map((line) => {
    group = /^\s*<Proxy\s+"?balancer:\/\/([^">/]+)/i.exec(line)?.[1] ?? (/^\s*<\/Proxy>/i.test(line) ? undefined : group)
    const host = /^(\s*<VirtualHost\s+)(.*)(>.*)$/i.exec(line)
    if (host !== null) {
      const own = (host[2] ?? '').trim().split(/\s+/)
      addresses.push(...own)
      return `${host[1]}${own.map(addressOf).join(' ')}${host[3]}`
    }
    if (/^\s*(SSLEngine|SSLCertificate\w*|SSLProtocol|SSLCipherSuite|Listen|ErrorLog|CustomLog)\b/i.test(line)) return ''
    // Of modules that are not part of httpd; what is left of such a section lets nobody in.
    if (/^\s*AuthType\s+openid-connect/i.test(line)) return ''
    if (/^\s*Require\s+claim\b/i.test(line)) return 'Require all denied'
    if (!proxies.test(line)) return line
    return line.replace(authority, (_, scheme: string, name: string, port: string | undefined) => {
      const tls = /^(?:https|wss)$/i.test(scheme)
      const key = `${name.toLowerCase()}:${port ?? (tls ? 443 : 80)}`
      const own = `${key}${tls ? ' over TLS' : ''}` // a configuration may name one port for both
      const need = upstreams.get(own) ?? { name: own, group: group ?? key, tls }
      upstreams.set(own, need)
      return `${scheme}://127.0.0.1:${portOf(need)}`
    })
  })
  return { text: lines.join('\n'), upstreams: [...upstreams.values()], addresses: [...new Set(addresses)] }
}
