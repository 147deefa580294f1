/** What a scenario is made of. */
import type { ClientStep, UpstreamStep } from './exchange.ts'
import type { RuleName } from './normalise.ts'

/** One line of ProxyPass, and one entry of our `routes`. */
export interface Route {
  path: string
  /** `ws://A/`: a scripted upstream; `http://refused/`: nobody listens; `http://nowhere/`: no such name; `false`: not proxied. */
  upstream: string | false
  upgrade?: string | readonly string[]
}

/** A routes table for both: a virtual host of httpd, and a server of our own. */
export interface Table {
  routes: readonly Route[]
  /** ProxyWebsocketFallbackToProxyHttp, which is a directive of the whole virtual host. Default: true. */
  fallbackToHttp?: boolean
  /** Seconds: `Timeout` and ProxyTimeout there; `timeout`, `handshakeTimeout` and `idleTimeout` here. */
  timeout?: number
  preserveHost?: boolean
  via?: 'on' | 'block'
  forwarded?: false
  /** `unverified` (httpd's default) against ours, which verifies. */
  tls?: 'unverified'
}

export interface Scenario {
  name: string
  table: Table
  client: readonly ClientStep[]
  /** What the upstream does with the requests it gets, in order of their arrival; the last one serves the rest, too. */
  upstream: ReadonlyArray<readonly UpstreamStep[]>
  /** Rules of normalisation that do not hold here: what they hide is what the scenario is about. */
  exact?: readonly RuleName[]
  /** What we do, wherever that is known from the design and not only from httpd. */
  ours?: readonly string[]
  /** A deliberate difference: its row in docs/differences-from-httpd.md. `ours` is then required. */
  differs?: string
}
