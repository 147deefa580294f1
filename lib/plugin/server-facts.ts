/** The checks of options that need the server. */
import type { Issues } from '../config/schema.ts'
import { forName, forOption } from '../config/suggestions.ts'
import type { CommonOptions } from '../config/options.ts'

/** The facts that only a server knows. */
export interface ServerFacts {
  /** The levels of its logger; `undefined` if the logger does not tell. */
  readonly levels?: readonly string[] | undefined
  /** Returns true if the server has a constraint strategy of this name. */
  hasStrategy? (name: string): boolean
}

/** The constraints that every router of Fastify has. */
const builtIn = ['host', 'version']

/** Checks values that Fastify would refuse without naming the option, or its router without naming the plugin. */
export function checkSettings (
  { logLevel, constraints }: CommonOptions, where: (name: string) => string, { levels, hasStrategy }: ServerFacts, issues: Issues
): void {
  if (logLevel !== undefined && (logLevel as string) !== '' && levels?.includes(logLevel) === false) {
    issues.expected(where('logLevel'), "one of the logger's levels", logLevel, forName(logLevel, levels))
  }
  if (hasStrategy === undefined) return
  for (const name of Object.keys(constraints ?? {})) {
    if (!builtIn.includes(name) && !hasStrategy(name)) {
      issues.note(`${where('constraints')}.${name}`, `expected host, version, or the name of a strategy of the server${forOption(name, builtIn)}`)
    }
  }
}
