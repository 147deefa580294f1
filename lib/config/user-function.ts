/** What functions of the options throw and return, made safe to look at: no getter of theirs, and no promise, is to end the process. */
import { FunctionError } from '../errors.ts'

/** What is read of an error, by Fastify and by loggers, beside what can be enumerated. */
const names = ['message', 'stack', 'name', 'constructor', 'code', 'statusCode', 'status', 'headers', 'validation', 'errors', 'cause'] as const

/** How many causes of an error a logger follows, at most. */
const mostCauses = 16

/**
 * What was thrown, as an Error that can be sent and logged: itself, where it is one that can be read; else FST_WSTUNNEL_FUNCTION.
 * Objects with a status are thrown in place of errors in Fastify applications, and errors come from other realms: the status holds.
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
    for (let i = 0; i < mostCauses && typeof cause === 'object' && cause !== null; i++) {
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

/** Calls back with what a promise is rejected with, of whatever realm or library. Anything else is none. */
export async function whenRejected (value: unknown, callback: (reason: unknown) => void): Promise<void> {
  try {
    await value
  } catch (reason) {
    callback(readable(reason))
  }
}

/**
 * What a function returned whose answer cannot be waited for.
 * @throws FunctionError where it is a promise; what that is rejected with is nobody's to hear
 */
export function immediate<T> (returned: T): T {
  if (!isThenable(returned)) return returned
  void whenRejected(returned, () => {})
  throw new FunctionError({ cause: new TypeError('a function that must answer at once returned a promise') })
}

function isThenable (value: unknown): boolean {
  try {
    return typeof (value as { then?: unknown } | null | undefined)?.then === 'function'
  } catch {
    return true
  }
}

/** Writes to a log. A logger of the user's that throws has nobody to tell. */
export function logging (write: () => void): void {
  try {
    write()
  } catch { /* the exchange goes on */ }
}
