/**
 * How Fastify's router tells the entries of one pattern apart: a constraint strategy of ours. Each candidate is a route of its
 * own, constrained to itself; the strategy's storage, one for each pattern and method, names the first that takes the request.
 */
import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Target } from '../config/target.ts'
import { acceptedToken } from './decision.ts'
import { asksForProtocol, readFacts } from './request-facts.ts'
import { type Constraints, skipsSome } from './route-placement.ts'

/** Pasted into code that find-my-way generates, and so an identifier; one for each copy of this package in the process. */
export const strategyName: string = `wstunnel_${randomBytes(4).toString('hex')}`

/** The candidates of one pattern under one set of constraints. */
export interface CandidateGroup {
  /** The table that they come from: an exclusion ends all of it. */
  readonly table: object
  readonly constraints: Constraints
  /** The methods of this pattern that somebody else's route serves: only accepted upgrades are ours there. */
  readonly foreign: ReadonlySet<string>
}

let ids = 0

/** The value that a candidate's route is constrained to. Its one enumerable property is what find-my-way compares it by. */
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

  /** Whether its entry is `upstream: false`. */
  get excludes (): boolean {
    return this.#target.upstream === false
  }

  /** How many constraints hold where it decides, the host that we check included. */
  get specificity (): number {
    return Math.max(Object.keys(this.#target.constraints ?? {}).length, Object.keys(this.#group.constraints).length)
  }

  /** For `printRoutes()`. */
  toJSON (): string {
    return this.excludes ? `not ${this.#target.route}` : this.#target.route
  }
}

/** The host by which the router tells entries apart, whatever `trustProxy` makes of `request.host`. */
export function hostOf ({ headers }: Pick<IncomingMessage, 'headers'>): string {
  return headers.host ?? String(headers[':authority'] ?? '')
}

/** Requests of which an exclusion has decided, with the tables that it speaks for. */
const excluded = new WeakMap<object, Set<object>>()

interface Listed {
  readonly group: CandidateGroup
  readonly list: Array<{ readonly candidate: Candidate, bits: number }>
}

/** The candidates of a node of the router, each with its bit among the node's routes. */
class CandidateStorage {
  /** Nearly every node has one candidate alone, of as many methods as there are: nothing more is made for it before it is asked. */
  #only: Candidate | undefined = undefined
  #bits = 0
  /** Those with most constraints first: the router prefers them. */
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
      list.sort((a, b) => a.candidate.id - b.candidate.id) // the table's order, whatever find-my-way's is
    }
  }

  /** The routes that may have a request; for a candidate, as find-my-way asks while it builds, its own. */
  get (value: Candidate | IncomingMessage): number {
    if (value instanceof Candidate) return this.#bitsOf(value)
    let bits = 0
    let specificity = 0
    for (const { group, list } of this.#listed()) {
      if (excluded.get(value)?.has(group.table) === true || !mayHold(group.constraints, value)) continue
      const first = list.find(({ candidate }) => candidate.takes(value))
      if (first === undefined) continue
      const { candidate } = first
      // Where only the router knows whether the constraints hold, the exclusion's own route answers: a 404.
      const isSure = isKnown(group.constraints)
      if (candidate.excludes && isSure) exclude(value, group.table)
      else if (candidate.specificity >= specificity) {
        // The router counts constraints, but does not know of a host that we check.
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

/** Whether we can tell ourselves if the constraints hold. */
function isKnown (constraints: Constraints): boolean {
  return Object.keys(constraints).every((name) => name === 'host')
}

function exclude (request: object, table: object): void {
  const tables = excluded.get(request)
  if (tables === undefined) excluded.set(request, new Set([table]))
  else tables.add(table)
}

/** What `addConstraintStrategy` takes. */
export interface RouteStrategy {
  readonly name: string
  storage (): CandidateStorage
  /** Runs no code of a user's: what it throws would be an uncaught exception. */
  deriveConstraint (request: IncomingMessage): IncomingMessage
}

/** @param onLookup hears of every request that is looked up */
export function routeStrategy (onLookup: (request: IncomingMessage) => void): RouteStrategy {
  return {
    name: strategyName,
    storage: () => new CandidateStorage(),
    deriveConstraint (request) {
      excluded.delete(request) // of an earlier look-up
      onLookup(request)
      return request
    }
  }
}
