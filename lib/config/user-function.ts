/** Makes the errors and results of a user's functions safe to read: no getter or rejected promise of theirs may end the process. */
import { FunctionError } from '../errors.ts'

/** The non-enumerable properties of an error that Fastify and loggers read. */
const names = ['message', 'stack', 'name', 'constructor', 'code', 'statusCode', 'status', 'headers', 'validation', 'errors', 'cause'] as const

/** The maximum number of causes of an error that a logger follows. */
const maxCauses = 16

/**
 * Returns a thrown value as an Error that can be sent and logged: the value itself if it is a readable error, else FST_WSTUNNEL_FUNCTION.
 * Fastify applications throw objects with a status in place of errors, and errors of other realms: their status is kept.
 */
export function readable (thrown: unknown): Error {
  const isReadable = canBeRead(thrown)
  if (isReadable && thrown instanceof Error) return thrown
  const failure = new FunctionError(isReadable ? { cause: thrown } : undefined)
  const status = isReadable ? (thrown as { statusCode?: unknown } | null | undefined)?.statusCode : undefined
  if (typeof status === 'number' && status >= 400 && status <= 599) failure.statusCode = status
  return failure
}

function canBeRead (thrown: unknown): boolean {
  try {
    let cause = thrown
    for (let i = 0; i < maxCauses && typeof cause === 'object' && cause !== null; i++) {
      const object = cause as Record<string, unknown>
      for (const key in object) void object[key]
      for (const name of names) void object[name]
      void (cause instanceof Error)
      cause = object.cause
    }
    return true
  } catch {
    return false
  }
}

/** Calls back with the reason if a promise of any realm or library rejects. Any other value is ignored. */
export async function whenRejected (value: unknown, callback: (reason: unknown) => void): Promise<void> {
  try {
    await value
  } catch (reason) {
    callback(readable(reason))
  }
}

/**
 * Returns the result of a function that must be synchronous.
 * @throws FunctionError if it is a promise; the rejection of that promise is ignored
 */
export function immediate<T> (returned: T): T {
  if (!isThenable(returned)) return returned
  void whenRejected(returned, () => {})
  throw new FunctionError({ cause: new TypeError('a function that must be synchronous returned a promise') })
}

function isThenable (value: unknown): boolean {
  try {
    return typeof (value as { then?: unknown } | null | undefined)?.then === 'function'
  } catch {
    return true
  }
}

/** Writes to a log. An error of the user's logger is swallowed: there is nowhere to report it. */
export function logging (write: () => void): void {
  try {
    write()
  } catch { /* the exchange goes on */ }
}
