/** The clock of all timers and durations. */
import { performance } from 'node:perf_hooks'

/** Returns the time in milliseconds by a clock that never goes back. */
export function monotonicNow (): number {
  return performance.now()
}
