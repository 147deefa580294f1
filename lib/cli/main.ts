#!/usr/bin/env node
/** The bin `fastify-wstunnel`. */
import { run } from './run.ts'

const signals = ['SIGTERM', 'SIGINT'] as const

process.exitCode = await run(process.argv.slice(2), {
  out: (text) => process.stdout.write(text),
  error: (text) => process.stderr.write(text),
  onEnd: (end) => {
    // The first signal ends tunnels and requests gracefully; after it, signals have their default effect.
    const listener = (): void => {
      for (const signal of signals) process.off(signal, listener)
      end()
    }
    for (const signal of signals) process.on(signal, listener)
    return () => { for (const signal of signals) process.off(signal, listener) }
  }
})
