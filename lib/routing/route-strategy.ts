/**
 * The constraint strategy by which Fastify's router tells the entries of one pattern apart. Each candidate is a route of its own,
 * constrained to itself; the strategy's storage, one for each pattern and method, names the first candidate that takes the request.
 */
import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Target } from '../config/target.ts'
import { acceptedToken } from './decision.ts'
import { asksForProtocol, readFacts } from './request-facts.ts'
import { type Constraints, skipsSome } from './route-placement.ts'

/** The strategy's name, unique for each copy of this package in the process. find-my-way pastes it into generated code, so it is an identifier. */
export const strategyName: string = `wstunnel_${randomBytes(4).toString('hex')}`

/** The candidates of one pattern under one set of constraints. */
export interface CandidateGroup {
  /** The table of the candidates: an exclusion excludes the request from all of it. */
  readonly table: object
  readonly constraints: Constraints
  /** The methods of this pattern that a route of another plugin or of the user serves: there the candidates take only accepted upgrades. */
  readonly foreign: Pick<ReadonlySet<string>, 'has'>
}

let ids = 0

/** The value that a candidate's route is constrained to. find-my-way compares it by its one enumerable property. */
export class Candidate {
  readonly id: number = ids++
  readonly #target: Target
  readonly #group: CandidateGroup

  constructor (target: Target, group: CandidateGroup) {
    this.#target = target
    this.#group = group
  }

  get group (): CandidateGroup {
    return this.#group
  }

  takes (request: IncomingMessage): boolean {
    const { constraints } = this.#target
    const asks = asksForProtocol(request)
    if (constraints?.host instanceof RegExp && !constraints.host.test(hostOf(request))) return false
    if (!asks && skipsSome(this.#target)) return false
    return !this.#group.foreign.has(request.method as string) || this.excludes ||
      (asks && acceptedToken(this.#target, readFacts(request)) !== undefined)
  }

  /** True if the entry is `upstream: false`. */
  get excludes (): boolean {
    return this.#target.upstream === false
  }

  /** The number of constraints that hold if this candidate decides, including the host that it checks itself. */
  get specificity (): number {
    return Math.max(Object.keys(this.#target.constraints ?? {}).length, Object.keys(this.#group.constraints).length)
  }

  /** Called by `printRoutes()`. */
  toJSON (): string {
    return this.excludes ? `not ${this.#target.route}` : this.#target.route
  }
}

/** Returns the host by which the router selects entries. `trustProxy`, which changes `request.host`, does not affect it. */
export function hostOf ({ headers }: Pick<IncomingMessage, 'headers'>): string {
  return headers.host ?? String(headers[':authority'] ?? '')
}

/** The requests that an exclusion decided, with the tables that it excludes. */
const excluded = new WeakMap<object, Set<object>>()

interface Listed {
  readonly group: CandidateGroup
  readonly list: Array<{ readonly candidate: Candidate, bits: number }>
}

/** The candidates of one node of the router, each with its bit among the node's routes. */
class CandidateStorage {
  /** The only candidate of the node: nearly every node has one, for each of many methods, so the lists are made only when the router asks. */
  #only: Candidate | undefined = undefined
  #bits = 0
  /** The groups, those with most constraints first: the router prefers them. */
  #groups: Listed[] | undefined = undefined

  set (candidate: Candidate, bits: number): void {
    if (this.#groups === undefined && (this.#only === undefined || this.#only === candidate)) {
      this.#only = candidate
      this.#bits = bits
    } else this.#add(this.#listed(), candidate, bits)
  }

  #listed (): Listed[] {
    if (this.#groups === undefined) {
      this.#groups = []
      if (this.#only !== undefined) this.#add(this.#groups, this.#only, this.#bits)
    }
    return this.#groups
  }

  #add (groups: Listed[], candidate: Candidate, bits: number): void {
    const { group } = candidate
    let listed = groups.find((each) => each.group === group)
    if (listed === undefined) {
      groups.push(listed = { group, list: [] })
      groups.sort((a, b) => Object.keys(b.group.constraints).length - Object.keys(a.group.constraints).length)
    }
    const { list } = listed
    const known = list.find((item) => item.candidate === candidate)
    if (known !== undefined) known.bits = bits
    else {
      list.push({ candidate, bits })
      list.sort((a, b) => a.candidate.id - b.candidate.id) // the table's order, not find-my-way's
    }
  }

  /**
   * Returns the bits of the routes that may serve a request. For a candidate, which find-my-way passes while it builds, returns the
   * candidate's own bit.
   */
  get (value: Candidate | IncomingMessage): number {
    if (value instanceof Candidate) return this.#bitsOf(value)
    let bits = 0
    let specificity = 0
    for (const { group, list } of this.#listed()) {
      if (excluded.get(value)?.has(group.table) === true || !mayHold(group.constraints, value)) continue
      const first = list.find(({ candidate }) => candidate.takes(value))
      if (first === undefined) continue
      const { candidate } = first
      // If only the router can check the constraints, the exclusion's own route answers with a 404.
      const isSure = isKnown(group.constraints)
      if (candidate.excludes && isSure) exclude(value, group.table)
      else if (candidate.specificity >= specificity) {
        // The router counts constraints, but does not know of a host that the candidate checks.
        if (isSure && candidate.specificity > specificity) {
          specificity = candidate.specificity
          bits = 0
        }
        bits |= first.bits
      }
    }
    return bits
  }

  #bitsOf (candidate: Candidate): number {
    if (this.#groups === undefined) return candidate === this.#only ? this.#bits : 0
    return this.#groups.find(({ group }) => group === candidate.group)?.list.find((item) => item.candidate === candidate)?.bits ?? 0
  }
}

function mayHold ({ host }: Constraints, request: IncomingMessage): boolean {
  return host === undefined || host === hostOf(request)
}

/** Returns true if this plugin can check the constraints itself. */
function isKnown (constraints: Constraints): boolean {
  return Object.keys(constraints).every((name) => name === 'host')
}

function exclude (request: object, table: object): void {
  const tables = excluded.get(request)
  if (tables === undefined) excluded.set(request, new Set([table]))
  else tables.add(table)
}

/** The argument of `addConstraintStrategy`. */
export interface RouteStrategy {
  readonly name: string
  storage (): CandidateStorage
  /** Runs none of the user's code: an error thrown here would be an uncaught exception. */
  deriveConstraint (request: IncomingMessage): IncomingMessage
}

/**
 * Returns the strategy.
 * @param onLookup called for every request that the router looks up
 */
export function routeStrategy (onLookup: (request: IncomingMessage) => void): RouteStrategy {
  return {
    name: strategyName,
    storage: () => new CandidateStorage(),
    deriveConstraint (request) {
      excluded.delete(request) // left by an earlier lookup
      onLookup(request)
      return request
    }
  }
}
