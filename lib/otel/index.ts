/** `fastify-wstunnel/otel`: a CLIENT span for each attempt at an upstream, and the one `traceparent` that the upstream gets. */
import { type Attributes, context, createContextKey, propagation, type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import type { FastifyRequest } from 'fastify'
import type { TracedAttempt, Tracing } from '../index.ts'

/** Options of `tracing()`. */
export interface TracingOptions {
  /** Whether forwards have spans, too; with false they are left to instrumentation-undici. Default: true. */
  forwards?: boolean
}

// The key of @opentelemetry/core's suppressTracing(), by its text: keys are symbols of the global registry.
const suppressed = createContextKey('OpenTelemetry SDK Context Key SUPPRESS_TRACING')

/** For the option `tracing`. */
export function tracing ({ forwards = true }: TracingOptions = {}): Tracing {
  const tracer = trace.getTracer('fastify-wstunnel')
  return {
    get fields () { return propagation.fields() },
    start (request, attempt) {
      const active = context.active()
      // Where nothing has made a span of the request, the client's own is the parent.
      const parent = trace.getSpan(active) === undefined ? propagation.extract(active, request.headers) : active
      if (attempt.kind === 'forward' && !forwards) return new LeftToOthers(parent)
      const span = tracer.startSpan(nameOf(request), { kind: SpanKind.CLIENT, attributes: attributesOf(request, attempt) }, parent)
      return new Attempt(span, trace.setSpan(parent, span))
    }
  }
}

type AttemptFacts = Parameters<Tracing['start']>[1]
type Context = ReturnType<typeof context.active>

class Attempt implements TracedAttempt {
  readonly #span: Span
  readonly #context: Context
  #ended = false

  constructor (span: Span, own: Context) {
    this.#span = span
    this.#context = own
  }

  inject (set: (name: string, value: string) => void): void {
    propagation.inject(this.#context, undefined, { set: (_, name, value) => set(name, value) })
  }

  within<T> (dial: () => T): T {
    return context.with(this.#context.setValue(suppressed, true), dial)
  }

  end ({ status, error }: { status?: number, error?: Error }): void {
    if (this.#ended) return
    this.#ended = true
    if (status !== undefined) this.#span.setAttribute('http.response.status_code', status)
    if (error !== undefined) {
      this.#span.recordException(error)
      this.#span.setAttribute('error.type', (error as { code?: string }).code ?? error.name)
      this.#span.setStatus({ code: SpanStatusCode.ERROR, message: error.message })
    } else if (status !== undefined && status >= 400) {
      this.#span.setAttribute('error.type', String(status))
      this.#span.setStatus({ code: SpanStatusCode.ERROR })
    }
    this.#span.end()
  }
}

/** Another instrumentation makes the span and writes the fields. It finds the client's context where there is no other. */
class LeftToOthers implements TracedAttempt {
  readonly #context: Context

  constructor (own: Context) {
    this.#context = own
  }

  inject (): void {}

  within<T> (dial: () => T): T {
    return context.with(this.#context, dial)
  }

  end (): void {}
}

function nameOf ({ method }: FastifyRequest): string {
  return method
}

/** By the semantic conventions of HTTP clients; what they have no name for is `wstunnel.*`. */
function attributesOf (request: FastifyRequest, { kind, route, upstream, resend }: AttemptFacts): Attributes {
  const address = /^(?:ws|http)(s?):\/\/(\[[^\]]*\]|[^:/]+)(?::(\d+))?/.exec(upstream)
  return {
    'http.request.method': request.method,
    'wstunnel.kind': kind,
    'wstunnel.route': route,
    'wstunnel.upstream': upstream,
    ...(resend > 0 ? { 'http.request.resend_count': resend } : {}),
    ...(address === null ? {} : { 'server.address': address[2] as string, 'server.port': Number(address[3] ?? (address[1] === 's' ? 443 : 80)) })
  }
}
