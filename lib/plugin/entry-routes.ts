/** The Fastify routes of a table: one for each entry and each pattern of paths for which it may decide. */
import type { FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods, onRequestHookHandler, RouteHandlerMethod } from 'fastify'
import type { Target } from '../config/target.ts'
import { logging } from '../config/user-function.ts'
import { type PathPattern, patternText } from '../http/path-pattern.ts'
import { parseTarget } from '../http/request-target.ts'
import { entryParams, type Params } from '../routing/entry-params.ts'
import type { Placement } from '../routing/route-placement.ts'
import { Candidate, routeStrategy, strategyName } from '../routing/route-strategy.ts'
import type { RouteTable } from '../routing/route-table.ts'
import type { ServerState } from './server-state.ts'

/** The callbacks of an entry's routes. */
export interface EntryActions {
  /** Called before the entry's own hooks. */
  decide (target: Target, request: FastifyRequest, reply: FastifyReply): void
  preHandlersOf (target: Target): NonNullable<Target['settings']['preHandler']>
  /** Called after every hook has passed. */
  readonly handle: RouteHandlerMethod
}

export function addRoutes (scope: FastifyInstance, state: ServerState, table: RouteTable, placements: readonly Placement[], actions: EntryActions): void {
  state.claims.add(scope, placements)
  addMethods(scope, table.targets)
  if (!scope.hasConstraintStrategy(strategyName)) {
    scope.addConstraintStrategy(
      routeStrategy((request) => state.tables.onLookup(request)) as unknown as Parameters<FastifyInstance['addConstraintStrategy']>[0]
    )
  }
  for (const { pattern, groups } of placements) {
    const foreign = new ForeignRoutes(scope, pattern)
    for (const { constraints, candidates } of groups) {
      const group = { table, constraints, foreign }
      for (const { target, methods } of candidates) {
        scope.route({
          ...target.settings,
          onRequest: [decisionHook(target, pattern, actions), ...[target.settings.onRequest ?? []].flat()],
          preHandler: actions.preHandlersOf(target),
          constraints: { ...constraints, [strategyName]: new Candidate(target, group) },
          method: [...methods] as HTTPMethods[],
          url: patternText(withNamesOf(target, pattern)),
          handler: actions.handle,
          exposeHeadRoute: false,
          // For the router, `/` below a prefix is two paths.
          prefixTrailingSlash: pattern.segments.length === 0 || scope.prefix.endsWith('/') ? 'no-slash' : 'slash',
          schema: { hide: true } as object
        })
      }
    }
  }
}

/**
 * The methods of a pattern that a route of the user or of another plugin serves, whether it was registered before or after. The router
 * is asked at a pattern's first requests: at registration, long tables would wait for it.
 */
class ForeignRoutes {
  readonly #scope: FastifyInstance
  readonly #pattern: PathPattern
  #known: Map<string, boolean> | undefined = undefined

  constructor (scope: FastifyInstance, pattern: PathPattern) {
    this.#scope = scope
    this.#pattern = pattern
  }

  has (method: string): boolean {
    const known = this.#known?.get(method)
    if (known !== undefined) return known
    const pattern = this.#pattern
    const url = this.#scope.prefix.replace(/\/$/, '') + (pattern.exact && pattern.segments.length === 0 ? '' : patternText(pattern))
    const isForeign = this.#scope.hasRoute({ method: method as HTTPMethods, url })
    // The router's caller would not catch an error of the user's logger.
    if (isForeign) logging(() => this.#scope.log.debug({ url, method }, 'another route has this path and method: only upgrades that an entry accepts are ours'))
    this.#known ??= new Map()
    this.#known.set(method, isForeign)
    return isForeign
  }
}

/** Returns a pattern with the names that an entry gives to its parameters. */
function withNamesOf ({ path }: Target, { segments, exact }: PathPattern): PathPattern {
  return { segments: segments.map((segment, i) => segment.kind === 'parameter' && path.segments[i]?.kind === 'parameter' ? path.segments[i] : segment), exact }
}

/** Adds the methods that Fastify does not know yet; all of its scopes share them. */
function addMethods (scope: FastifyInstance, targets: readonly Target[]): void {
  for (const method of new Set(targets.flatMap(({ allMethods }) => allMethods))) {
    if (!scope.supportedMethods.includes(method)) scope.addHttpMethod(method, { hasBody: true })
  }
}

/** Returns the hook that decides on the requests of one entry at one of its patterns. */
function decisionHook (target: Target, pattern: PathPattern, actions: EntryActions): onRequestHookHandler {
  const { path, prefix, rules } = target
  const isOwn = pattern.segments.length === path.segments.length && pattern.segments.every(({ kind }, i) => kind === path.segments[i]?.kind)
  return function wstunnelOnRequest (request, reply, done) {
    if (!isOwn) {
      const raw = parseTarget(request.raw.url ?? '', rules)?.path ?? ''
      request.params = entryParams(prefix, prefix.segments.length - path.segments.length, raw, request.params as Params, rules)
    }
    actions.decide(target, request, reply)
    done()
  }
}
