/** `fastify-wstunnel/otel`: a CLIENT span for each attempt at an upstream, and the one `traceparent` that the upstream gets. */
import { type Attributes, context, createContextKey, propagation, type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import type { FastifyRequest } from 'fastify'
import type { TracedAttempt, Tracing } from '../index.ts'
import { followTunnels, remember } from './tunnel-end.ts'

/** The options of `tracing()`. */
export interface TracingOptions {
  /** Makes spans of forwards, too; with false, instrumentation-undici makes them. Default: true. */
  forwards?: boolean
}

// The key of @opentelemetry/core's suppressTracing(), by its text: keys are symbols of the global registry.
const suppressed = createContextKey('OpenTelemetry SDK Context Key SUPPRESS_TRACING')

/**
 * Returns the value of the option `tracing`. It uses the tracer provider and the propagator that are registered with `@opentelemetry/api`
 * at the time of a request. Without them it does nothing, and the client's fields pass.
 */
export function tracing ({ forwards = true }: TracingOptions = {}): Tracing {
  const tracer = trace.getTracer('fastify-wstunnel')
  followTunnels()
  return {
    get fields () { return propagation.fields() },
    start (request, attempt) {
      const parent = parentOf(request)
      if (attempt.kind === 'forward' && !forwards) return new LeftToOthers(parent)
      const span = tracer.startSpan(nameOf(request), { kind: SpanKind.CLIENT, attributes: attributesOf(request, attempt) }, parent)
      if (attempt.kind === 'upgrade') remember(request, span.spanContext())
      return new Attempt(span, trace.setSpan(parent, span))
    }
  }
}

type AttemptFacts = Parameters<Tracing['start']>[1]
type Context = ReturnType<typeof context.active>

/**
 * Returns the parent context of a span: the active one; if no other code has made a span of the request, the client's. Baggage is the
 * client's if no other code has read it.
 */
function parentOf ({ headers }: FastifyRequest): Context {
  const active = context.active()
  if (trace.getSpan(active) === undefined) return propagation.extract(active, headers)
  if (headers.baggage === undefined || propagation.getBaggage(active) !== undefined) return active
  const baggage = propagation.getBaggage(propagation.extract(active, headers))
  return baggage === undefined ? active : propagation.setBaggage(active, baggage)
}

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

/** An attempt whose span and fields another instrumentation makes. It gives that the client's context if there is no other. */
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

/** The methods that span names and metrics contain; all others become one (semantic conventions of HTTP). */
const knownMethods: ReadonlySet<string> = new Set(['CONNECT', 'DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT', 'QUERY', 'TRACE'])

function nameOf ({ method }: FastifyRequest): string {
  return knownMethods.has(method) ? method : 'HTTP'
}

/** Returns the attributes of a span by the semantic conventions of HTTP clients; attributes without a name there are `wstunnel.*`. */
function attributesOf ({ method }: FastifyRequest, { kind, route, upstream, url, resend }: AttemptFacts): Attributes {
  return {
    ...(knownMethods.has(method) ? { 'http.request.method': method } : { 'http.request.method': '_OTHER', 'http.request.method_original': method }),
    'url.full': url,
    ...serverOf(upstream),
    'wstunnel.kind': kind,
    'wstunnel.route': route,
    'wstunnel.upstream': upstream,
    ...(resend > 0 ? { 'http.request.resend_count': resend } : {})
  }
}

/** Returns the host and port, or the path of a unix socket. */
function serverOf (upstream: string): Attributes {
  const [, socket] = /^unix:([^|]+)\|/.exec(upstream) ?? []
  if (socket !== undefined) return { 'server.address': socket, 'network.transport': 'unix' }
  const { protocol, hostname, port } = new URL(upstream)
  return { 'server.address': hostname.replace(/^\[|\]$/g, ''), 'server.port': Number(port) || (/^(?:wss|https):$/.test(protocol) ? 443 : 80) }
}
