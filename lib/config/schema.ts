/** The vocabulary of the option schemas: TypeBox types that say what was expected, and the findings that name it. */
import { type TSchema, Type } from '@sinclair/typebox'
import { type TypeCheck, TypeCompiler } from '@sinclair/typebox/compiler'
import { type ValueError, ValueErrorType } from '@sinclair/typebox/errors'
import { InvalidOptionsError } from '../errors.ts'

export const expectedDuration = "a duration such as '30s'"

export const maybe = (schema: TSchema): TSchema => Type.Optional(schema)
export const some = (expected: string, ...schemas: TSchema[]): TSchema => maybe(Type.Union(schemas, { description: expected }))
export const flag: TSchema = maybe(Type.Boolean({ description: 'true or false' }))
export const duration: TSchema = some(expectedDuration, Type.Number({ minimum: 0 }), Type.String())
export const count: TSchema = maybe(Type.Integer({ minimum: 0, description: 'a whole number of at least 0' }))
export const text = (expected: string): TSchema => maybe(Type.String({ description: expected }))
export const func: TSchema = Type.Function([], Type.Unknown(), { description: 'a function' })
export const hook: TSchema = some('a hook function or an array of them', func, Type.Array(func))
export const anyObject = (expected: string): TSchema => maybe(Type.Object({}, { additionalProperties: true, description: expected }))
/** Exactly these options. */
export const strictObject = (properties: Record<string, TSchema>, expected: string): TSchema =>
  Type.Object(properties, { additionalProperties: false, description: expected })
export const oneOf = (...values: Array<string | false>): TSchema =>
  some(`one of ${values.map((value) => show(value)).join(', ')}`, ...values.map((value) => Type.Literal(value as string)))
/** Options whose values somebody else checks. */
export const anything = (names: readonly string[]): Record<string, TSchema> =>
  Object.fromEntries(names.map((name) => [name, maybe(Type.Unknown())]))

/** A URL as it may be shown: what stands before an `@` may be a password, also where a parser would not take it for one. */
export function withoutCredentials (text: string): string {
  const at = text.lastIndexOf('@')
  if (at === -1) return text
  const scheme = /^(?:unix:[^|@]*\|)?(?:(?:wss?|https?):|[a-z][a-z0-9+.-]*:\/\/)\/*/i.exec(text.slice(0, at))?.[0] ?? ''
  return `${scheme}***${text.slice(at)}`
}

/** What is wrong, by the path of the value. The first finding of a path stands. */
export class Issues {
  readonly #findings: Map<string, string> = new Map()

  note (path: string, finding: string): void {
    if (!this.#findings.has(path)) this.#findings.set(path, finding)
  }

  expected (path: string, expected: string, value: unknown): void {
    this.note(path, `expected ${expected}, got ${show(value)}`)
  }

  get areNone (): boolean {
    return this.#findings.size === 0
  }

  /** @throws InvalidOptionsError naming every path, where there is any */
  throwIfAny (): void {
    if (this.#findings.size === 0) return
    throw new InvalidOptionsError([...this.#findings].map(([path, finding]) => path === '' ? finding : `${path}: ${finding}`).join('; '))
  }
}

const compiled = new Map<TSchema, TypeCheck<TSchema>>()

/** Whether a value has the schema's shape; what is wrong with it is noted. */
export function fits (schema: TSchema, value: unknown, at: string, issues: Issues): boolean {
  let check = compiled.get(schema)
  if (check === undefined) compiled.set(schema, check = TypeCompiler.Compile(schema))
  return noteErrors(check.Errors(value), at, issues)
}

/** Notes what TypeBox found in the value at a path; whether that is nothing. */
function noteErrors (errors: Iterable<ValueError>, at: string, issues: Issues): boolean {
  let fine = true
  for (const { path, schema, type, value } of errors) {
    fine = false
    if (type === ValueErrorType.ObjectAdditionalProperties) issues.note(pathOf(at, path), 'unknown option')
    else issues.expected(pathOf(at, path), schema.description ?? 'another value', value)
  }
  return fine
}

/** `/routes/1/idleTimeout` → `routes[1].idleTimeout`. */
function pathOf (at: string, pointer: string): string {
  return pointer.split('/').slice(1).reduce((path, key) => path + (/^\d+$/.test(key) ? `[${key}]` : path === '' ? key : `.${key}`), at)
}

function show (value: unknown): string {
  if (typeof value === 'string') return `'${withoutCredentials(value).slice(0, 80)}'`
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object'
  return String(value)
}
