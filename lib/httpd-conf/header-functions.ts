/** The functions for RequestHeader and Header: the same function for the same directives, with its source. */
import type { CommonOptions } from '../index.ts'
import { apply, sourceOf, type HeaderEdit } from './header-edits.ts'
import type { Settings } from './model.ts'

type Functions = Pick<CommonOptions, 'rewriteRequestHeaders' | 'rewriteHeaders'>

const sources = new WeakMap<object, string[]>()

/** Returns the statements of a function that was made here. */
export function statementsOf (made: object): readonly string[] | undefined {
  return sources.get(made)
}

export class HeaderFunctions {
  readonly #made = new Map<string, object>()

  of ({ requestEdits, responseEdits }: Settings): Functions {
    const functions: Functions = {}
    if (requestEdits !== undefined) {
      const key = `request ${linesOf(requestEdits)}`
      functions.rewriteRequestHeaders = this.#once(key, requestEdits, () => (request, headers) => apply(requestEdits, headers, request))
    }
    if (responseEdits !== undefined) {
      const key = `response ${linesOf(responseEdits)}`
      functions.rewriteHeaders = this.#once(key, responseEdits, () => (headers, request) => apply(responseEdits, headers, request))
    }
    return functions
  }

  #once<T extends object> (key: string, edits: readonly HeaderEdit[], make: () => T): T {
    const known = this.#made.get(key) as T | undefined
    if (known !== undefined) return known
    const made = make()
    this.#made.set(key, made)
    sources.set(made, sourceOf(edits))
    return made
  }
}

function linesOf (edits: readonly HeaderEdit[]): string {
  return edits.map(({ line }) => line).join()
}
