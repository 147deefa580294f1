// Spans of attempts at the upstream, and one `traceparent` for it. Start a provider of your own first; here, one that prints.
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { ConsoleSpanExporter, NodeTracerProvider, SimpleSpanProcessor, type SpanExporter } from '@opentelemetry/sdk-trace-node'
import fastify, { type FastifyInstance } from 'fastify'
import wstunnel from 'fastify-wstunnel'
import { tracing } from 'fastify-wstunnel/otel'
import { run } from '../run.ts'

export function build (upstream: string, exporter: SpanExporter = new ConsoleSpanExporter()): FastifyInstance {
  const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  provider.register({ contextManager: new AsyncLocalStorageContextManager() })

  const app = fastify()
  app.register(wstunnel, { prefix: '/app', upstream, tracing: tracing() })
  app.addHook('onClose', async () => { await provider.shutdown() })
  return app
}

await run(import.meta.url, build, (url) => `
    curl ${url}/app/hello
`)
