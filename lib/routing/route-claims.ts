/** The paths and methods of a server's router by registration: two registrations never share one. */
import type { FastifyInstance } from 'fastify'
import { isDeepStrictEqual } from 'node:util'
import { InvalidOptionsError } from '../errors.ts'
import { parsePrefix, patternKey, type RouterRules, segmentKey } from '../http/path-pattern.ts'
import type { Constraints, Placement } from './route-placement.ts'

/** A path of the router that the registration of a scope has claimed. */
interface Claim {
  readonly scope: FastifyInstance
  readonly constraints: Constraints
  readonly methods: readonly string[]
}

export class RouteClaims {
  readonly #rules: RouterRules
  readonly #claims: Map<string, Claim[]> = new Map()

  constructor (rules: RouterRules) {
    this.#rules = rules
  }

  /**
   * Claims paths and methods of the router for a registration.
   * @throws InvalidOptionsError if another registration has claimed one of them
   */
  add (scope: FastifyInstance, placements: readonly Placement[]): void {
    const { segments, slash } = parsePrefix(scope.prefix)
    const outer = segments.map((segment) => `/${segmentKey(segment, this.#rules)}`).join('') + (slash ? '/' : '')
    for (const { pattern, groups } of placements) {
      const path = `${outer}${patternKey(pattern, this.#rules)}`.replace('//', '/') // a prefix may end with a slash, as a pattern begins
      for (const { constraints, candidates } of groups) {
        const known = this.#claims.get(path) ?? []
        // A host that is a RegExp is not among the group's constraints: the candidate checks it itself.
        for (const { target: { route, constraints: own }, methods } of candidates) {
          const told = { ...constraints, ...own }
          const other = known.find((claim) => {
            return claim.scope !== scope && isDeepStrictEqual(claim.constraints, told) && claim.methods.some((method) => methods.includes(method))
          })
          if (other !== undefined) {
            throw new InvalidOptionsError(`${route}: registered twice: an earlier registration of this plugin on the same server has ${path} already. ` +
              'Give each a prefix or path of its own, put both into one routes table (the first entry that matches decides), ' +
              'or tell them apart by methods or constraints')
          }
          known.push({ scope, constraints: told, methods })
        }
        this.#claims.set(path, known)
      }
    }
  }
}
