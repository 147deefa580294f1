/** The vocabulary of the option schemas: TypeBox types that say what they expect, and the findings about wrong values. */
import { type TSchema, Type } from '@sinclair/typebox'
import { type TypeCheck, TypeCompiler } from '@sinclair/typebox/compiler'
import { type ValueError, ValueErrorType } from '@sinclair/typebox/errors'
import { InvalidOptionsError } from '../errors.ts'
import { longestDelay } from './duration.ts'
import { forDuration, forOption, forWord } from './suggestions.ts'

export const expectedDuration = "a duration such as '30s'"

export const maybe = (schema: TSchema): TSchema => Type.Optional(schema)
export const some = (expected: string, ...schemas: TSchema[]): TSchema => maybe(Type.Union(schemas, { description: expected }))
export const flag: TSchema = maybe(Type.Boolean({ description: 'true or false' }))
/** Returns a schema that says more about a value that it refuses. `hint`: as in `Issues.expected`. */
export const hinting = (schema: TSchema, hint: (value: unknown) => string): TSchema => ({ ...schema, hint })
export const durationHint = (value: unknown): string => forDuration(value, longestDelay)
export const duration: TSchema = hinting(some(expectedDuration, Type.Number({ minimum: 0 }), Type.String()), durationHint)
export const count: TSchema = maybe(Type.Integer({ minimum: 0, description: 'a whole number of at least 0' }))
export const text = (expected: string): TSchema => maybe(Type.String({ description: expected }))
export const func: TSchema = Type.Function([], Type.Unknown(), { description: 'a function' })
export const hook: TSchema = some('a hook function or an array of them', func, Type.Array(func))
export const anyObject = (expected: string): TSchema => maybe(Type.Object({}, { additionalProperties: true, description: expected }))
/** Returns a schema of an object with exactly these options. */
export const strictObject = (properties: Record<string, TSchema>, expected: string): TSchema =>
  Type.Object(properties, { additionalProperties: false, description: expected })
export const oneOf = (...values: Array<string | false>): TSchema =>
  some(`one of ${values.map((value) => show(value)).join(', ')}`, ...values.map((value) => Type.Literal(value as string)))
/** Returns schemas that take any value: other code checks these options. */
export const anything = (names: readonly string[]): Record<string, TSchema> =>
  Object.fromEntries(names.map((name) => [name, maybe(Type.Unknown())]))

/** Returns a URL without credentials, for messages. The text before an `@` may be a password, even if a URL parser would not read one there. */
export function withoutCredentials (text: string): string {
  const at = text.lastIndexOf('@')
  if (at === -1) return text
  const scheme = /^(?:unix:[^|@]*\|)?(?:(?:wss?|https?):|[a-z][a-z0-9+.-]*:\/\/)\/*/i.exec(text.slice(0, at))?.[0] ?? ''
  return `${scheme}***${text.slice(at)}`
}

/** The bound, in milliseconds, below which a number is most likely meant as seconds, by a user of httpd or nginx. */
const fewMilliseconds = 100

/** The findings about wrong values, by the path of the value. The first finding of a path stands. */
export class Issues {
  readonly #findings: Map<string, string> = new Map()
  readonly #warnings: Set<string> = new Set()

  /** The findings about values that are allowed, but most likely a mistake. */
  get warnings (): readonly string[] {
    return [...this.#warnings]
  }

  warn (text: string): void {
    this.#warnings.add(text)
  }

  /** Warns of a duration that is a number of milliseconds but looks like a number of seconds. */
  warnOfUnit (path: string, value: unknown): void {
    if (typeof value !== 'number' || value <= 0 || value >= fewMilliseconds) return
    this.warn(`${path} is ${value} ms: a number is milliseconds, ${value} seconds are '${value}s'`)
  }

  note (path: string, finding: string): void {
    if (!this.#findings.has(path)) this.#findings.set(path, finding)
  }

  /**
   * Adds a finding: the value is not what the option expects.
   * @param hint the most likely intention, with its own separator before it
   */
  expected (path: string, expected: string, value: unknown, hint = ''): void {
    this.note(path, expectation(expected, value, hint))
  }

  has (path: string): boolean {
    return this.#findings.has(path)
  }

  get areNone (): boolean {
    return this.#findings.size === 0
  }

  /** @throws InvalidOptionsError with every path, if there is any finding */
  throwIfAny (): void {
    if (this.#findings.size === 0) return
    throw new InvalidOptionsError([...this.#findings].map(([path, finding]) => path === '' ? finding : `${withoutCredentials(path)}: ${finding}`).join('; '))
  }
}

/**
 * Returns the text of a finding.
 * @param hint the most likely intention, with its own separator before it
 */
export function expectation (expected: string, value: unknown, hint: string): string {
  // The hint quotes the given value, so it is shortened and stripped of credentials in the same way.
  const meant = hint.replace(/'[^']*'/g, (quoted) => show(quoted.slice(1, -1)))
  return `expected ${expected}, got ${show(value)}${meant}`
}

const compiled = new Map<TSchema, TypeCheck<TSchema>>()

/** Returns true if a value has the schema's shape; else adds the findings. */
export function fits (schema: TSchema, value: unknown, at: string, issues: Issues): boolean {
  return faultsOf(schema, value, at, issues, {}).length === 0
}

/**
 * Returns the part of a value that has the schema's shape. Wrong options become findings and are left out of a copy: the caller can check
 * the rest, so that one error names everything that is wrong. An item of an array that is left out is `undefined`.
 * @param places the other places that have an option of a name
 * @returns `undefined` if the value as a whole does not have that shape
 */
export function soundPart<T> (schema: TSchema, value: T, at: string, issues: Issues, places: Places = {}): T | undefined {
  const faults = faultsOf(schema, value, at, issues, places)
  return faults.reduce<T | undefined>((rest, pointer) => without(rest, pointer.split('/').slice(1)) as T | undefined, value)
}

/** Returns the pointers of the faults that TypeBox finds in the value at a path. */
function faultsOf (schema: TSchema, value: unknown, at: string, issues: Issues, places: Places): string[] {
  let check = compiled.get(schema)
  if (check === undefined) compiled.set(schema, check = TypeCompiler.Compile(schema))
  if (check.Check(value)) return [] // the compiled check is fast, the walk for errors is not
  return [...check.Errors(value)].map((error) => {
    note(error, at, issues, places)
    return error.path
  })
}

/** Names of options, each with the place where it belongs. */
type Places = Readonly<Record<string, string>>

function note ({ path, schema, type, value }: ValueError, at: string, issues: Issues, places: Places): void {
  if (type === ValueErrorType.ObjectAdditionalProperties) {
    const name = unescaped(path.slice(path.lastIndexOf('/') + 1))
    const { properties = {} } = schema as { properties?: object }
    issues.note(pathOf(at, path), `unknown option${forOption(name, Object.keys(properties), places)}`)
  } else {
    issues.expected(pathOf(at, path), schema.description ?? 'another value', value, hintOf(schema, value))
  }
}

/** Returns the most likely intention, as far as a schema tells. */
function hintOf (schema: TSchema, value: unknown): string {
  const { hint, anyOf = [], type } = schema as { hint?: (value: unknown) => string, anyOf?: Array<{ const?: unknown }>, type?: string }
  if (hint !== undefined) return hint(value)
  if (typeof value !== 'string') return ''
  if (type === 'array') return `, did you mean ['${value}']?`
  if ((type === 'integer' || type === 'number') && /^\d{1,15}$/.test(value)) return `, did you mean ${Number(value)}?`
  if (type === 'boolean' && /^(true|false)$/i.test(value)) return `, did you mean ${value.toLowerCase()}?`
  return forWord(value, anyOf.flatMap(({ const: word }) => typeof word === 'string' ? [word] : []))
}

/** Returns a copy of a value without the member that a pointer names; only the objects on the way there are copied. */
function without (value: unknown, [key, ...rest]: readonly string[]): unknown {
  if (key === undefined || typeof value !== 'object' || value === null) return undefined
  const name = unescaped(key)
  if (Array.isArray(value)) return value.map((item: unknown, i) => String(i) === name ? without(item, rest) : item)
  const inner = without((value as Record<string, unknown>)[name], rest)
  return Object.fromEntries(Object.entries(value).flatMap(([each, old]) => each !== name ? [[each, old]] : inner === undefined ? [] : [[each, inner]]))
}

/** Decodes a token of a JSON pointer (RFC 6901, 3). */
function unescaped (key: string): string {
  return key.replaceAll('~1', '/').replaceAll('~0', '~')
}

/** Returns a JSON pointer in JavaScript's notation: `/routes/1/idleTimeout` → `routes[1].idleTimeout`. */
function pathOf (at: string, pointer: string): string {
  return pointer.split('/').slice(1).reduce((path, key) => path + (/^\d+$/.test(key) ? `[${key}]` : `${path === '' ? '' : '.'}${unescaped(key)}`), at)
}

function show (value: unknown): string {
  if (value instanceof URL) return show(value.href)
  if (typeof value === 'string') return `'${withoutCredentials(value).slice(0, 80)}'`
  if (typeof value === 'function') return 'a function'
  if (value instanceof Promise) return 'a promise'
  if (Array.isArray(value)) return value.length === 0 ? 'an empty array' : 'an array'
  if (typeof value === 'object' && value !== null) return 'an object'
  return String(value)
}
