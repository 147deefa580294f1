/** The Fastify routes of a registration's table: an `onRequest` hook decides, and the handler acts. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Server, ServerResponse } from 'node:http'
import type { Target } from '../config/target.ts'
import { wstunnelOnSend } from '../downstream/early-response.ts'
import { type Front, frontOf } from '../downstream/front.ts'
import { isBehindLast, markMustClose } from '../downstream/must-close.ts'
import { dropContentFields, kUpstreamContent } from '../downstream/replaced-response.ts'
import { closeInStages, isUnread } from '../downstream/staged-close.ts'
import { guard, isHeadWritten, tellResponse, UpgradeResponse } from '../downstream/upgrade-response.ts'
import { BadPathError, BadRequestError, TooManyHeadersError, UpgradeRequiredError, type WstunnelError } from '../errors.ts'
import { prefixLength, type RouterRules } from '../http/path-pattern.ts'
import { parseTarget } from '../http/request-target.ts'
import { isHttp2 } from '../http/version.ts'
import { warnOnce } from '../observability/failure-lines.ts'
import { countRefusal } from '../observability/refusals.ts'
import { sendError } from '../proxy/client-response.ts'
import { forward } from '../proxy/forward.ts'
import { upgrade } from '../proxy/upgrade.ts'
import { decide, type Decision } from '../routing/decision.ts'
import { asksForProtocol, isTruncated, readFacts } from '../routing/request-facts.ts'
import { hostOf } from '../routing/route-strategy.ts'
import type { RouteTable } from '../routing/route-table.ts'
import { addRoutes } from './entry-routes.ts'
import type { Resolved } from './resolve-options.ts'
import type { ServerState } from './server-state.ts'

const kDecision: unique symbol = Symbol('fastify-wstunnel.decision')

type Decided = FastifyRequest & { [kDecision]?: Decision }

/** Adds the routes of a registration. */
export function routes (scope: FastifyInstance, state: ServerState, table: RouteTable, { placements }: Resolved): void {
  // Every body is a stream, of any type and size.
  scope.removeAllContentTypeParsers()
  scope.addContentTypeParser('*', function wstunnelBody (_, payload, done) { done(null, payload) })
  scope.decorateRequest(kDecision as unknown as string, null)
  scope.decorateReply(kUpstreamContent as unknown as string, null)
  const handle = function wstunnelHandler (request: FastifyRequest, reply: FastifyReply): void { handleRequest(state, table, request, reply) }
  // After all other hooks, so after @fastify/websocket's, which wraps the handler in one that would switch the upgrade itself.
  scope.addHook('onRoute', function wstunnelOnRoute (route) { route.handler = handle })
  // After the hooks of all outer scopes, so that it also sees a response that one of them sends.
  scope.addHook('onSend', wstunnelOnSend)
  scope.addHook('onError', function wstunnelOnError (_request, reply, _error, done) {
    dropContentFields(reply)
    done()
  })
  addRoutes(scope, state, table, placements, {
    decide (target, request: Decided) {
      request[kDecision] = decisionOn(state, target, request)
    },
    preHandlersOf: preHandlersFor,
    handle
  })
}

/** Returns the decision on a request that the router has given to an entry. */
function decisionOn (state: ServerState, target: Target, { raw }: FastifyRequest): Decision {
  const { tables } = state
  const { rules } = tables
  const front = frontOf(raw)
  if (front !== undefined) front.isRouted = true
  const facts = readFacts(raw, rules)
  const matched = facts.path === undefined ? undefined : prefixLength(target.prefix, facts.path, rules)
  if (facts.path !== undefined) {
    const isOtherPath = matched === undefined // than the one that the router has read
    const uncut = uncutPath(raw.url ?? '', rules) ?? facts.path
    if (isOtherPath || tables.isAmbiguous(uncut, target, hostOf(raw))) return refusal(target, raw, new BadPathError())
  }
  const decision = decide([target], facts, matched)
  if (decision.kind === 'none') return decision
  if (isTruncated(raw, state.server as Server)) return refusal(target, raw, new TooManyHeadersError())
  // RFC 9112, 9.6: a request behind one whose response says `close` is not processed.
  if (isBehindLast(raw)) return refusal(target, raw, new BadRequestError('after a request that was refused'))
  const offered = front !== undefined
  // No `'upgrade'` event brought it: it came by `inject()`, or with an offer that Node did not see (Node 20: `Connection: Upgrade<TAB>`).
  if ((decision.kind === 'upgrade-raw' || decision.kind === 'upgrade') && !offered) {
    return refusal(target, raw, new BadRequestError('this connection cannot be upgraded'))
  }
  // An `'upgrade'` event did, and the preview expected a switch; so Node has not read its body.
  if (decision.kind === 'forward' && offered && facts.body) return refusal(target, raw, new BadRequestError('an upgrade with a body'))
  if (decision.kind === 'refuse' && !(decision.error instanceof UpgradeRequiredError)) markMustClose(raw, 'invalid')
  return decision
}

/** Returns the path with the part that the router cut off at a semicolon: to an upstream that may be a parameter, and the path goes on after it. */
function uncutPath (url: string, rules: RouterRules): string | undefined {
  return rules.useSemicolonDelimiter ? parseTarget(url, { ...rules, useSemicolonDelimiter: false })?.path : undefined
}

function refusal (target: Target, raw: FastifyRequest['raw'], error: WstunnelError): Decision {
  markMustClose(raw, 'invalid')
  return { kind: 'refuse', target, error }
}

/** Returns the route's own preHandlers, and then the one that ends upgrades routed by another plugin. */
function preHandlersFor ({ settings }: Target): NonNullable<Target['settings']['preHandler']> {
  return [settings.preHandler ?? []].flat().concat(wstunnelPreHandler)
}

/**
 * Ends upgrades that @fastify/websocket and @fastify/http-proxy route with a response of their own. No code returns such a connection to
 * HTTP, so it ends with the response. @fastify/websocket reads `request.ws` after the response, to destroy the socket.
 */
function wstunnelPreHandler (request: FastifyRequest, reply: FastifyReply, done: () => void): void {
  if (frontOf(request.raw) !== undefined && !isHttp2(request.raw) && !UpgradeResponse.is(reply.raw)) {
    markMustClose(request.raw, 'upgrade')
    reply.raw.once('finish', endConnection)
    tellResponse(request.raw.socket, reply.raw)
    if ('ws' in request) request.ws = false
  }
  done()
}

const endConnection = guard(function endConnection (this: ServerResponse): void {
  if (isHeadWritten(this)) closeInStages(this.req.socket)
})

/** The handler: acts on the decision, after all of the user's hooks have passed. */
function handleRequest (state: ServerState, table: RouteTable, request: Decided, reply: FastifyReply): void {
  const decision = request[kDecision] as Decision
  switch (decision.kind) {
    case 'forward': {
      const { target, matched } = decision
      warnOfOffer(request, target)
      forward({ request, reply, target, matched, upstreams: table.upstreamsOf(target), registry: state.registry, gate: state.limits })
      return
    }
    case 'upgrade-raw':
    case 'upgrade':
      upgrade(state, table.upstreamsOf(decision.target), { request, reply, decision, front: frontOf(request.raw) as Front }) // the decision checks it
      return
    case 'refuse':
      refuse(table, request, reply, decision)
      return
    case 'none':
      reply.callNotFound()
  }
}

/** Warns of a browser's WebSocket that becomes a plain request: it fails in the browser without a reason. */
function warnOfOffer ({ raw, log }: FastifyRequest, target: Target): void {
  if (raw.headers.upgrade === undefined || raw.headers['sec-websocket-key'] === undefined || target.upgrade.length > 0) return
  warnOnce(log, target, "a WebSocket was offered, and forwarded as a plain request: the entry needs upgrade: 'websocket', or a ws: or wss: upstream")
}

function refuse (table: RouteTable, request: FastifyRequest, reply: FastifyReply, decision: Extract<Decision, { kind: 'refuse' }>): void {
  const { target, error, upgrade: protocols } = decision
  if (asksForProtocol(request.raw)) {
    countRefusal(target, 'decision', table.upstreamsOf(target).unattributed, error, request)
  }
  const http1 = !isHttp2(request.raw)
  if (http1 && error instanceof UpgradeRequiredError && protocols !== undefined) {
    // RFC 9110, 15.5.22.
    reply.header('upgrade', protocols).header('connection', 'Upgrade')
    if (request.raw.httpVersion === '1.0') markMustClose(request.raw, 'client')
    // The bytes after an offer may belong to the offered protocol, whatever its length says.
    if (request.raw.headers.upgrade !== undefined && isUnread(request.raw)) markMustClose(request.raw, 'upgrade')
  } else markMustClose(request.raw, 'invalid')
  sendError(request, reply, error)
}
