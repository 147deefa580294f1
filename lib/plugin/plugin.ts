/** The registration: one state per server, shared by all registrations on it; the decorator; and the hooks of the server's life. */
import type { FastifyInstance } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import type { BalancerControl } from '../balancer/options.ts'
import { shareHiddenClasses } from '../compat/node20-hidden-classes.ts'
import { endDeadSessions } from '../compat/node20-dead-sessions.ts'
import { takeAllUpgrades } from '../compat/node24-upgrade-callback.ts'
import { type Duration, parseDuration } from '../config/duration.ts'
import type { TunnelInfo } from '../config/options.ts'
import { listen } from '../downstream/upgrade-listener.ts'
import { InvalidOptionsError, RuntimeError } from '../errors.ts'
import { announce, isHttp2Server } from '../http2/announcement.ts'
import { listenForConnects } from '../http2/extended-connect.ts'
import type { Http2Settings } from '../http2/options.ts'
import type { MetricsSnapshot } from '../observability/metrics.ts'
import type { WstunnelOptions } from './options.ts'
import { resolveOptions } from './resolve-options.ts'
import { routes } from './routes.ts'
import type { ServerFacts } from './server-facts.ts'
import { ServerState } from './server-state.ts'

/** `app.wstunnel`: metrics and control of the whole server, from any scope. */
export interface WstunnelDecorator {
  /** Returns a snapshot of all numbers: a fresh, plain object. */
  metrics (): MetricsSnapshot
  /** Returns the same snapshot, built over several turns of the event loop: no turn is long, however many upstreams there are. */
  sampleMetrics (): Promise<MetricsSnapshot>
  /** Returns an iterator of the live tunnels. Tunnels may open and close during the iteration. */
  tunnels (): IterableIterator<TunnelInfo>
  /**
   * Drains the server: refuses new upgrades (503), lets live tunnels go on, sends WebSockets Close 1001 in the last part of the window, and
   * then ends the remaining tunnels. HTTP is forwarded as before.
   * @param options.timeout the window. Default: `drainTimeout`; 0 ends tunnels at once
   * @returns a promise that resolves when no tunnel is left
   * @throws FST_WSTUNNEL_INVALID_OPTIONS if `timeout` is no duration
   */
  drain (options?: { timeout?: Duration }): Promise<void>
  /**
   * Returns the control of a running balancer: its members, and changes to them.
   * @throws FST_WSTUNNEL_INVALID_OPTIONS if no balancer has this name
   */
  balancer (name: string): BalancerControl
}

declare module 'fastify' {
  interface FastifyInstance {
    wstunnel: WstunnelDecorator
  }
}

// One state per application, found from every registration in it, nested or not. The key is the router: @fastify/restartable gives a new
// application the server of the old one.
const states = new WeakMap<object, ServerState>()

async function wstunnel (app: FastifyInstance, options: WstunnelOptions): Promise<void> {
  refuseOtherRuntimes(process.versions)
  const { prefix } = options
  const state = stateOf(app)
  const config = resolveOptions(options, join(app.prefix, prefix), state.balancers.byName, state.tables.rules, factsOf(app))
  if (!app.hasDecorator('wstunnel')) app.decorate('wstunnel', decorator(state))
  for (const warning of config.warnings) app.log.warn(warning)
  const table = state.add(config)
  if (config.http2 !== undefined) takeHttp2(app, state, config.http2)
  const { healthPath } = config
  if (healthPath !== undefined) {
    await app.register(async function wstunnelHealth (scope) { healthRoute(scope, state, healthPath) }, prefix === undefined ? {} : { prefix })
  }
  if (config.targets.length === 0) return
  shareHiddenClasses() // before the first socket
  // Encapsulated: the prefix, the parser and the hooks of this registration stay inside.
  await app.register(async function wstunnelRoutes (scope) { routes(scope, state, table, config) }, prefix === undefined ? {} : { prefix })
}

/** Returns the facts of the server. The levels are known of pino, and of loggers with pino's interface. */
function factsOf (app: FastifyInstance): ServerFacts {
  const { levels } = app.log as { levels?: { values?: Record<string, number> } }
  return {
    levels: levels?.values === undefined ? undefined : Object.keys(levels.values),
    hasStrategy: (name) => app.hasConstraintStrategy(name)
  }
}

function stateOf (app: FastifyInstance): ServerState {
  const known = states.get(app.routing)
  if (known !== undefined) return known
  const state = new ServerState(app)
  states.set(app.routing, state)
  const listening = listen(state, takeAllUpgrades)
  const close = (): void => {
    state.close()
    listening.close()
  }
  // It begins before the listener closes, since the close waits for tunnels; it is awaited later, since Fastify limits the time of
  // `preClose` hooks.
  app.addHook('preClose', function wstunnelPreClose (done) {
    close()
    done()
  })
  app.addHook('onReady', async function wstunnelOnReady () { await state.ready() })
  app.addHook('onClose', async function wstunnelOnClose () {
    close()
    await state.closed()
    state.http2?.stop()
    listening.stop()
  })
  return state
}

/** @throws InvalidOptionsError where the server has no HTTP/2, or another registration says something else */
function takeHttp2 (app: FastifyInstance, state: ServerState, settings: Http2Settings): void {
  const { server } = app
  for (const name of Object.keys(settings) as Array<keyof Http2Settings>) {
    const before = state.http2?.settings[name] ?? settings[name]
    if (settings[name] !== before) {
      throw new InvalidOptionsError(`http2.${name}: expected ${before}, as in another registration on this server, got ${settings[name]}`)
    }
  }
  if (state.http2 !== undefined) return
  if (!settings.webSockets) {
    state.http2 = { settings, stop () {} }
    return
  }
  if (!isHttp2Server(server)) throw new InvalidOptionsError('http2.webSockets: expected a server with http2: true, got true on one of HTTP/1.1 alone')
  const stops = [announce(server, settings, app.initialConfig.http2SessionTimeout ?? 0), listenForConnects(state), endDeadSessions(server)]
  state.http2 = { settings, stop () { for (const stop of stops) stop() } }
  app.addHook('onListen', function wstunnelOnListen (done) {
    if (app.addresses().length > 1) {
      app.log.warn('http2.webSockets: only the first address of listen() announces WebSockets over HTTP/2; on the others, browsers use HTTP/1.1')
    }
    done()
  })
}

function decorator (state: ServerState): WstunnelDecorator {
  return {
    metrics: () => state.metrics(),
    sampleMetrics: async () => state.sampleMetrics(),
    tunnels: () => state.registry.values(),
    drain: async ({ timeout = state.drainTimeout } = {}) => {
      const ms = parseDuration(timeout)
      if (ms === undefined) throw new InvalidOptionsError(`timeout: expected a duration such as '30s', got '${timeout}'`)
      await state.registry.drain(ms, false)
    },
    balancer: (name) => state.balancers.control(name)
  }
}

/** Adds the health check for orchestrators: 200 while the server accepts new exchanges and every balancer has a member for them. */
function healthRoute (scope: FastifyInstance, state: ServerState, url: string): void {
  scope.get(url, { logLevel: 'warn', schema: { hide: true } as object }, function wstunnelHealth (_, reply) {
    const health = state.health()
    reply.code(health.ready ? 200 : 503).header('cache-control', 'no-store').send(health)
  })
}

function join (outer: string, inner: unknown): string {
  if (typeof inner !== 'string') return outer // none, or one that the check of the options refuses
  return outer.replace(/\/$/, '') + (inner.startsWith('/') ? inner : `/${inner}`)
}

/** @throws RuntimeError on Bun, whose undici and HTTP server are its own */
export function refuseOtherRuntimes ({ bun }: Readonly<Record<string, string | undefined>>): void {
  if (bun !== undefined) throw new RuntimeError(`Bun ${bun} replaces undici with a module of its own, which cannot forward requests: run it with Node or Deno`)
}

/** The plugin. `import` gives it by default and by name; `require()` gives the plugin itself, which has these names as properties. */
export interface WstunnelPlugin {
  (app: FastifyInstance, options: WstunnelOptions): Promise<void>
  /** The plugin itself. */
  readonly default: WstunnelPlugin
  /** The plugin itself. */
  readonly wstunnel: WstunnelPlugin
  /** The plugin itself. */
  readonly fastifyWstunnel: WstunnelPlugin
}

// The lowest version of Fastify is that of peerDependencies.
const plugin = fastifyPlugin(wstunnel, { fastify: '^5.8.5', name: 'fastify-wstunnel' })

/** The plugin for `app.register(wstunnel, options)`: it adds routes that tunnel upgrades and forward plain requests, and `app.wstunnel`. */
const wstunnelPlugin: WstunnelPlugin = Object.assign(plugin, { default: plugin, wstunnel: plugin, fastifyWstunnel: plugin }) as unknown as WstunnelPlugin

export default wstunnelPlugin
