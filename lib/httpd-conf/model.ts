/** The model of a configuration, before it becomes options: the servers, and for each the rules that choose a target. */
import type { StickyCookie } from '../index.ts'
import type { HeaderEdit } from './header-edits.ts'
import type { Place } from './notes.ts'
import type { Parameters } from './parameters.ts'
import type { Target } from './target.ts'
import type { Workers } from './workers.ts'

/** A line that chooses a target. httpd tries rewrite rules first, then the `<Location>` sections, then ProxyPass. */
export interface Rule extends Place {
  readonly kind: 'rewrite' | 'location' | 'pass'
  /** The prefix below which the rule applies. */
  readonly at: string
  /** The prefix that the target's path replaces; it covers `at`. */
  readonly from: string
  /** The prefixes below which the rule does not apply. */
  readonly except: readonly string[]
  /** The target; `false`: not proxied. `'last'`: httpd tries no further rewrite rule. */
  readonly target: Target | false | 'last'
  /** The kinds of requests that the rule takes: requests without an Upgrade, and WebSocket handshakes. */
  readonly takes: { readonly plain: boolean, readonly webSocket: boolean }
  /** True for `mapping=encoded`: httpd tries the rule before all others. */
  readonly first: boolean
}

/** The directives that may differ from one `<Location>` to the next. The names say if a number is in seconds or milliseconds. */
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
  disableReuse?: boolean
  tlsEngine?: boolean
  tlsVerify?: 'none' | 'require'
  tlsCheckName?: boolean
  tlsCheckCn?: boolean
  tlsCheckExpiry?: boolean
  tlsMinVersion?: 'TLSv1.2' | 'TLSv1.3'
  requestEdits?: HeaderEdit[]
  responseEdits?: HeaderEdit[]
}

/** The settings of a place. */
export interface Scope {
  /** The prefix; `/` for a server. */
  readonly path: string
  readonly settings: Settings
}

/** A ProxyPassReverse line or one of its cookie directives. */
export interface Reverse extends Place {
  readonly kind: 'location' | 'cookiePath' | 'cookieDomain'
  /** For a location: the prefix. For a cookie: the new value. */
  readonly outside: string
  /** For a location: the URL. For a cookie: the old value. */
  readonly inside: string
  /** The path of the `<Location>` around it, else `/`. */
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
