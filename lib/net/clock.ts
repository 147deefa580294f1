/** The clock of everything that is timed. */
import { performance } from 'node:perf_hooks'

/** The clock of every tunnel: milliseconds that never go back. */
export function monotonicNow (): number {
  return performance.now()
}
