/** The trace of one attempt at an upstream. An error in a user's `tracing` costs the span, and never the exchange. */
import type { FastifyRequest } from 'fastify'
import type { TracedAttempt } from '../config/options.ts'
import type { Target } from '../config/target.ts'
import { logging, readable } from '../config/user-function.ts'
import { type HeaderList, isField } from '../http/header-list.ts'
import { isFraming } from '../http/hop-by-hop.ts'
import { parseTarget } from '../http/request-target.ts'
import type { Choice } from '../upstream/upstream.ts'

/** The attempt that is traced. */
export interface Attempted {
  readonly kind: 'forward' | 'upgrade'
  readonly choice: Choice
  /** The number of characters of the path that the target's prefix takes. */
  readonly matched: number
  /** The number of earlier attempts. */
  readonly resend: number
}

export class AttemptTrace {
  readonly #request: FastifyRequest
  #fields: ReadonlySet<string> = new Set()
  #attempt: TracedAttempt | undefined = undefined

  /** Begins the trace of an attempt; returns `undefined` if the target has no tracing. */
  static begin (request: FastifyRequest, target: Target, attempted: Attempted): AttemptTrace | undefined {
    return target.tracing === undefined ? undefined : new AttemptTrace(request, target, attempted)
  }

  private constructor (request: FastifyRequest, target: Target, { kind, choice, matched, resend }: Attempted) {
    this.#request = request
    this.#guarded(() => {
      const { tracing, route } = target
      this.#fields = new Set(tracing?.fields.map((name) => name.toLowerCase()))
      const upstream = choice.upstream.label
      this.#attempt = tracing?.start(request, { kind, route, upstream, url: urlOf(request, target, kind, choice, matched), resend })
    })
  }

  /** Returns the headers, with the trace fields of this attempt instead of the client's. */
  inject (headers: HeaderList): HeaderList {
    const attempt = this.#attempt
    if (attempt === undefined) return headers
    const list = headers.filter((_, i) => !this.#fields.has((headers[i - i % 2] as string).toLowerCase()))
    this.#guarded(() => attempt.inject((name, value) => {
      if (!isField(name, value) || isOurs(name.toLowerCase())) throw new TypeError('tracing injects a field that cannot be sent')
      list.push(name, value)
    }))
    return list
  }

  /** Calls `dial` exactly once, whatever the tracing does; an error of `dial` is passed on. */
  within (dial: () => void): void {
    const attempt = this.#attempt
    let begun = false
    let failure: { readonly error: unknown } | undefined
    const once = (): void => {
      if (begun) return
      begun = true
      try {
        dial()
      } catch (error) {
        failure = { error }
      }
    }
    if (attempt !== undefined) this.#guarded(() => attempt.within(once))
    once()
    if (failure !== undefined) throw failure.error
  }

  /** Ends the trace. Without effect the second time. */
  end (outcome: { status?: number, error?: Error }): void {
    const attempt = this.#attempt
    this.#attempt = undefined
    if (attempt !== undefined) this.#guarded(() => attempt.end(outcome))
  }

  #guarded (call: () => void): void {
    try {
      call()
    } catch (thrown) {
      logging(() => this.#request.log.error({ err: readable(thrown) }, 'tracing failed'))
    }
  }
}

/** Returns true for the fields that are always this server's: a second one could change where the message ends, or who gets it. */
function isOurs (key: string): boolean {
  return key === 'host' || isFraming(key)
}

/** Returns the URL without its query, which may contain credentials. */
function urlOf ({ raw }: FastifyRequest, { rules }: Target, kind: Attempted['kind'], choice: Choice, matched: number): string {
  const { webSocket, secure, authority } = choice.upstream.address
  const scheme = `${webSocket && kind === 'upgrade' ? 'ws' : 'http'}${secure ? 's' : ''}`
  const path = parseTarget(raw.url ?? '', rules)?.path
  return `${scheme}://${authority}${path === undefined ? '/' : choice.pathFor(path, matched)}`
}
