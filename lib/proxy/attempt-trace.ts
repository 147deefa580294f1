/** The trace of one attempt at an upstream. A `tracing` that throws costs its span, and never the exchange. */
import type { FastifyRequest } from 'fastify'
import type { Target, TracedAttempt } from '../config/target.ts'
import { logging, readable } from '../config/user-function.ts'
import type { HeaderList } from '../http/header-list.ts'
import { parseTarget } from '../http/request-target.ts'
import type { Choice } from '../upstream/upstream.ts'

/** What is attempted. */
export interface Attempted {
  readonly kind: 'forward' | 'upgrade'
  readonly choice: Choice
  /** How much of the path the target's prefix takes up. */
  readonly matched: number
  /** How many attempts came before. */
  readonly resend: number
}

export class AttemptTrace {
  readonly #request: FastifyRequest
  #fields: ReadonlySet<string> = new Set()
  #attempt: TracedAttempt | undefined = undefined

  /** Begins the trace of an attempt; `undefined` where the target has no tracing. */
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

  /** The headers with those of this attempt in place of the client's. */
  inject (headers: HeaderList): HeaderList {
    const attempt = this.#attempt
    if (attempt === undefined) return headers
    const list = headers.filter((_, i) => !this.#fields.has((headers[i - i % 2] as string).toLowerCase()))
    this.#guarded(() => attempt.inject((name, value) => { list.push(name, value) }))
    return list
  }

  /** Dials or dispatches, once, whatever the tracing does; what that throws is passed on. */
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

  /** Without effect the second time. */
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

/** Without the query, which may carry credentials. */
function urlOf ({ raw }: FastifyRequest, { rules }: Target, kind: Attempted['kind'], choice: Choice, matched: number): string {
  const { webSocket, secure, authority } = choice.upstream.address
  const scheme = `${webSocket && kind === 'upgrade' ? 'ws' : 'http'}${secure ? 's' : ''}`
  const path = parseTarget(raw.url ?? '', rules)?.path
  return `${scheme}://${authority}${path === undefined ? '/' : choice.pathFor(path, matched)}`
}
