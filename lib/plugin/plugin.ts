/**
 * fastify-wstunnel: what mod_proxy_wstunnel and the parts of mod_proxy it stands on do for httpd, as a Fastify plugin.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import type { Server, ServerResponse } from 'node:http'
import type { BalancerControl } from './balancing.ts'
import { guard, isHeadWritten, isHttp2, isOver, keepOver, offerOf, UpgradeResponse } from './connection.ts'
import { decide, type Decision } from './decision.ts'
import { parseDuration, type Duration } from './duration.ts'
import { BadPathError, BadRequestError, InvalidOptionsError, TooManyHeadersError, UpgradeRequiredError, type WstunnelError } from './errors.ts'
import { forward } from './forward.ts'
import { shareHiddenClasses } from './hidden-classes.ts'
import { listen } from './listener.ts'
import { keepFreedMemory } from './memory.ts'
import type { MetricsSnapshot } from './metrics.ts'
import type { Target, TunnelInfo, WstunnelOptions } from './options.ts'
import { prefixLength } from './path-pattern.ts'
import { isTruncated, readFacts } from './request-facts.ts'
import { resolveOptions, type Resolved } from './resolve.ts'
import { addRoutes } from './routes.ts'
import { ServerState, type Table } from './state.ts'
import { sendError } from './respond.ts'
import { upgrade } from './upgrade.ts'

export type {
  BalancerControl, BalancerMetrics, BalancerOptions, DnsMembers, HealthCheckOptions, LbFunction, LbMethod, MemberChanges, MemberInfo,
  MemberOptions, MemberState
} from './balancing.ts'
export type { Duration } from './duration.ts'
export type { ErrorSource, WstunnelError } from './errors.ts'
export type { HeaderMap } from './headers.ts'
export type { Histogram, RefusalStage, StatusClass, TunnelReason } from './counters.ts'
export type { ForwardMetrics, MetricsSnapshot, RouteMetrics, TunnelMetrics, UpstreamMetrics } from './metrics.ts'
export type {
  CommonOptions, Limits, RouteOptions, TunnelInfo, TunnelOutcome, UpstreamFunction, WstunnelOptions
} from './options.ts'
export type { Candidate } from './policies.ts'
export type { StickyCookie } from './sticky.ts'
export type { TlsOptions } from './tls.ts'

/** `app.wstunnel`: the whole server, from wherever it is called. */
export interface WstunnelDecorator {
  /** A fresh, plain snapshot. */
  metrics (): MetricsSnapshot
  /** The live tunnels. May be iterated while they come and go. */
  tunnels (): IterableIterator<TunnelInfo>
  /**
   * Takes no new upgrade (503), lets live tunnels go on, tells WebSockets to go (1001) in the last part of the window, and
   * then ends what is left. HTTP is forwarded as before.
   * @param options.timeout default: `drainTimeout`
   * @returns resolves when no tunnel is left
   * @throws FST_WSTUNNEL_INVALID_OPTIONS where `timeout` is no duration
   */
  drain (options?: { timeout?: Duration }): Promise<void>
  /**
   * A balancer while it runs: its members, and changes of them.
   * @throws FST_WSTUNNEL_INVALID_OPTIONS where there is none of this name
   */
  balancer (name: string): BalancerControl
}

declare module 'fastify' {
  interface FastifyInstance {
    wstunnel: WstunnelDecorator
  }
}

const kDecision: unique symbol = Symbol('fastify-wstunnel.decision')

type Decided = FastifyRequest & { [kDecision]?: Decision }

// One per application, found from every registration in it, nested or not. By its router: @fastify/restartable gives a new application
// the server of the old one.
const states = new WeakMap<object, ServerState>()

async function wstunnel (app: FastifyInstance, options: WstunnelOptions): Promise<void> {
  const { prefix, ...own } = options
  const base = join(app.prefix, prefix)
  const state = stateOf(app)
  const config = resolveOptions(own, base, state.balancers, state.rules)
  if (!app.hasDecorator('wstunnel')) app.decorate('wstunnel', decorator(state))
  for (const warning of config.warnings) app.log.warn(warning)
  const table = state.add(config)
  const { healthPath } = config
  if (healthPath !== undefined) await app.register(async function wstunnelHealth (scope) { healthRoute(scope, state, healthPath) }, prefix === undefined ? {} : { prefix })
  if (config.targets.length === 0) return
  shareHiddenClasses() // before there is a socket
  keepFreedMemory()
  // Encapsulated: the prefix, the parser and the hooks of this registration stay in here.
  await app.register(async function wstunnelRoutes (scope) { routes(scope, state, table, config) }, prefix === undefined ? {} : { prefix })
}

function stateOf (app: FastifyInstance): ServerState {
  const known = states.get(app.routing)
  if (known !== undefined) return known
  const state = new ServerState(app)
  states.set(app.routing, state)
  const listening = listen(state)
  const close = (): void => {
    state.close(listening.isReplaced)
    listening.close()
  }
  // Begun before the listener closes, since that waits for tunnels; awaited after, since Fastify cuts `preClose` hooks off.
  app.addHook('preClose', function wstunnelPreClose (done) {
    close()
    done()
  })
  app.addHook('onReady', async function wstunnelOnReady () { await state.ready() })
  app.addHook('onClose', async function wstunnelOnClose () {
    close()
    await state.closed()
    listening.stop()
  })
  return state
}

function decorator (state: ServerState): WstunnelDecorator {
  return {
    metrics: () => state.metrics(),
    tunnels: () => state.tunnels(),
    drain: async ({ timeout = state.drainTimeout } = {}) => {
      const ms = parseDuration(timeout)
      if (ms === undefined) throw new InvalidOptionsError(`timeout: expected a duration such as '30s', got '${timeout}'`)
      await state.registry.drain(ms, false)
    },
    balancer: (name) => state.control(name)
  }
}

/** For orchestrators: 200 while new exchanges are taken and every balancer has a member for them. */
function healthRoute (scope: FastifyInstance, state: ServerState, url: string): void {
  scope.get(url, { logLevel: 'warn', schema: { hide: true } as object }, function wstunnelHealth (_, reply) {
    const health = state.health()
    reply.code(health.ready ? 200 : 503).header('cache-control', 'no-store').send(health)
  })
}

/** The routes of a registration, and what they do. */
function routes (scope: FastifyInstance, state: ServerState, table: Table, { placements }: Resolved): void {
  // Every body is a stream, of whatever type and size.
  scope.removeAllContentTypeParsers()
  scope.addContentTypeParser('*', function wstunnelBody (_, payload, done) { done(null, payload) })
  scope.decorateRequest(kDecision as unknown as string, null)
  const handle = function wstunnelHandler (request: FastifyRequest, reply: FastifyReply): void { act(state, table, request, reply) }
  // After all others', and so after @fastify/websocket's, which puts a handler around ours that would switch the upgrade itself.
  scope.addHook('onRoute', function wstunnelOnRoute (route) { route.handler = handle })
  addRoutes(scope, state, table, placements, {
    decide (target, request: Decided, reply) {
      request[kDecision] = decisionOn(state, target, request)
      if (isOver(request.raw)) reply.header('connection', 'close') // also where a later hook answers in our place
    },
    preHandlersOf: lastOf,
    handle
  })
}

/** What to do with a request that the router has given to an entry. */
function decisionOn (state: ServerState, target: Target, { raw, host }: FastifyRequest): Decision {
  const { rules } = state
  const facts = readFacts(raw, rules)
  const matched = facts.path === undefined ? undefined : prefixLength(target.prefix, facts.path, rules)
  // The router has not read the same path.
  if (facts.path !== undefined && (matched === undefined || state.isAmbiguous(facts.path, target, host))) return refusal(target, raw, new BadPathError())
  const decision = decide([target], facts, matched)
  if (decision.kind === 'none') return decision
  if (isTruncated(raw, state.server as Server)) return refusal(target, raw, new TooManyHeadersError())
  // RFC 9112, 9.6: nothing that comes behind the request whose answer says `close` is to be processed.
  if (isOver(raw)) return refusal(target, raw, new BadRequestError('behind a request that was refused'))
  const offered = offerOf(raw) !== undefined
  // It did not come by an upgrade of Node's: by `inject()`, or with an offer that Node did not see (20: `Connection: Upgrade<TAB>`).
  if ((decision.kind === 'tunnel' || decision.kind === 'upgrade') && !offered) {
    return refusal(target, raw, new BadRequestError('this connection cannot be upgraded'))
  }
  // It did, was foreseen to switch, and so Node has not read its body.
  if (decision.kind === 'forward' && offered && facts.body) return refusal(target, raw, new BadRequestError('an upgrade with a body'))
  if (decision.kind === 'refuse' && !(decision.error instanceof UpgradeRequiredError)) keepOver(raw)
  return decision
}

function refusal (target: Target, raw: FastifyRequest['raw'], error: WstunnelError): Decision {
  keepOver(raw)
  return { kind: 'refuse', target, error }
}

/** The route's own preHandlers, and after them all the one that ends what another plugin has put through the router. */
function lastOf ({ settings }: Target): NonNullable<Target['settings']['preHandler']> {
  return [settings.preHandler ?? []].flat().concat(wstunnelPreHandler)
}

/**
 * @fastify/websocket and @fastify/http-proxy put upgrades through the router on a response of their own. Nobody gives its connection
 * back to HTTP, so it ends with the response. The former looks at `request.ws` when the response is done, to destroy the socket.
 */
function wstunnelPreHandler (request: FastifyRequest, reply: FastifyReply, done: () => void): void {
  if (offerOf(request.raw) !== undefined && !UpgradeResponse.is(reply.raw)) {
    reply.header('connection', 'close')
    reply.raw.once('finish', endConnection)
    if ('ws' in request) request.ws = false
  }
  done()
}

const endConnection = guard(function endConnection (this: ServerResponse): void {
  if (isHeadWritten(this)) this.req.socket.destroySoon()
})

/** The handler: acts on the decision, after every hook of the user's has agreed. */
function act (state: ServerState, table: Table, request: Decided, reply: FastifyReply): void {
  const decision = request[kDecision] as Decision
  switch (decision.kind) {
    case 'forward': {
      const { target, matched } = decision
      forward({ request, reply, target, matched, upstreams: table.upstreamsOf(target), registry: state.registry })
      return
    }
    case 'tunnel':
    case 'upgrade':
      upgrade(state, table, request, reply, decision)
      return
    case 'refuse':
      refuse(state, table, request, reply, decision)
      return
    case 'none':
      reply.callNotFound()
  }
}

function refuse (state: ServerState, table: Table, request: FastifyRequest, reply: FastifyReply, decision: Extract<Decision, { kind: 'refuse' }>): void {
  const { target, error, upgrade: protocols } = decision
  if (request.raw.headers.upgrade !== undefined) {
    state.refused(target, 'decision', table.upstreamsOf(target).rest, error, request)
  }
  const { httpVersion } = request.raw
  const http1 = !isHttp2(request.raw)
  if (http1 && error instanceof UpgradeRequiredError && protocols !== undefined) {
    // RFC 9110, 15.5.22.
    reply.header('upgrade', protocols).header('connection', httpVersion === '1.0' ? 'Upgrade, close' : 'Upgrade')
  } else if (http1) reply.header('connection', 'close')
  sendError(request, reply, error)
}

function join (outer: string, inner: string | undefined): string {
  if (inner === undefined) return outer
  return outer.replace(/\/$/, '') + (inner.startsWith('/') ? inner : `/${inner}`)
}

const plugin: (app: FastifyInstance, options: WstunnelOptions) => Promise<void> =
  fastifyPlugin(wstunnel, { fastify: '5.x', name: 'fastify-wstunnel' })

export default plugin
export { plugin as fastifyWstunnel, plugin as wstunnel, plugin as 'module.exports' }
