// Traces: a span for each attempt at an upstream, below those of @fastify/otel, and one `traceparent` for the upstream.
// Here spans are printed; in production an exporter sends them to a collector.
import FastifyOtel from '@fastify/otel'
import { ConsoleSpanExporter, NodeTracerProvider, SimpleSpanProcessor, type SpanExporter } from '@opentelemetry/sdk-trace-node'
import fastify, { type FastifyInstance } from 'fastify'
import wstunnel from 'fastify-wstunnel'
import { tracing } from 'fastify-wstunnel/otel'
import { run } from './run.ts'

export async function build (upstream: string, exporter: SpanExporter = new ConsoleSpanExporter()): Promise<FastifyInstance> {
  const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }) // a BatchSpanProcessor in production
  provider.register()

  const app = fastify()
  await app.register(new FastifyOtel.FastifyOtelInstrumentation().plugin())
  app.register(wstunnel, { prefix: '/app', upstream, tracing: tracing() })
  app.addHook('onClose', async () => provider.shutdown())
  return app
}

await run(import.meta.url, build, (url) => `
    curl ${url}/app/hello                                                                        the traceparent that the upstream got
    curl -H 'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' ${url}/app/hello   the same trace goes on
    npx wscat -c ${url.replace('http', 'ws')}/app/echo                                           two spans: the handshake, and the end of its tunnel
`)
