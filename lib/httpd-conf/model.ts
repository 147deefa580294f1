/** What a configuration says, before it becomes options: the servers, and of each the rules that choose a target. */
import type { StickyCookie } from '../index.ts'
import type { HeaderEdit } from './header-edits.ts'
import type { Place } from './notes.ts'
import type { Parameters } from './parameters.ts'
import type { Target } from './target.ts'
import type { Workers } from './workers.ts'

/** A line that chooses a target. httpd looks at rewrite rules first, then at the `<Location>` sections, last at ProxyPass. */
export interface Rule extends Place {
  readonly kind: 'rewrite' | 'location' | 'pass'
  /** The prefix under which it holds. */
  readonly at: string
  /** The prefix that the target's path takes the place of; it covers `at`. */
  readonly from: string
  /** Prefixes under which it does not hold. */
  readonly except: readonly string[]
  /** `false`: not proxied. `'last'`: no further rewrite rule is looked at. */
  readonly target: Target | false | 'last'
  /** Requests without an Upgrade, and WebSocket handshakes. */
  readonly takes: { readonly plain: boolean, readonly webSocket: boolean }
  /** `mapping=encoded`: looked at before everything else. */
  readonly first: boolean
}

/** Directives that may differ from one `<Location>` to the next. Seconds and milliseconds as their names say. */
export interface Settings {
  preserveHost?: boolean
  addHeaders?: boolean
  via?: 'off' | 'on' | 'full' | 'block'
  proxyTimeoutSeconds?: number
  timeoutSeconds?: number
  fallbackToHttp?: boolean
  async?: boolean
  asyncDelayMs?: number
  idleTimeoutMs?: number
  tlsEngine?: boolean
  tlsVerify?: 'none' | 'require'
  tlsCheckName?: boolean
  tlsMinVersion?: 'TLSv1.2' | 'TLSv1.3'
  requestEdits?: HeaderEdit[]
  responseEdits?: HeaderEdit[]
}

/** Settings of a place. */
export interface Scope {
  /** The prefix; `/` for a server. */
  readonly path: string
  readonly settings: Settings
}

/** A ProxyPassReverse line or one of its cookie directives. */
export interface Reverse extends Place {
  readonly kind: 'location' | 'cookiePath' | 'cookieDomain'
  /** Of a location: the prefix. Of a cookie: what it becomes. */
  readonly outside: string
  /** Of a location: the URL. Of a cookie: what it was. */
  readonly inside: string
  /** Where it holds: the path of a `<Location>`, else `/`. */
  readonly within: string
}

export interface Member extends Place {
  readonly url: string
  readonly parameters: Parameters
}

export interface Balancer extends Place {
  readonly name: string
  readonly members: Member[]
  readonly parameters: Map<string, string>
}

/** A `Header` line that sets httpd's cookie of a sticky session. */
export interface RouteCookie extends Place {
  readonly cookie: string
  readonly attributes: StickyCookie
}

/** The main server, or a virtual host. */
export interface Server extends Place {
  readonly addresses: readonly string[]
  readonly names: string[]
  readonly settings: Settings
  readonly scopes: Scope[]
  readonly rewrites: Rule[]
  readonly locations: Rule[]
  readonly passes: Rule[]
  readonly reverses: Reverse[]
  readonly balancers: Map<string, Balancer>
  readonly workers: Workers
  readonly routeCookies: RouteCookie[]
  rewriteEngine: boolean | undefined
  secure: boolean
  serverName: string | undefined
}
