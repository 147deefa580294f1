/** Notices a peer that takes none of the bytes that wait for it. */
import type { Duplex } from 'node:stream'
import { monotonicNow } from './clock.ts'

/** The number of checks in the time after which a peer counts as stalled. */
const checks = 20

/**
 * Calls back if bytes wait in a stream and none of them is written for `ms` milliseconds; 0 is never.
 * @param passed returns the number of bytes passed to the stream so far
 * @returns a function that stops watching
 */
export function watchStall (stream: Duplex, ms: number, passed: () => number, stalled: () => void): () => void {
  if (ms === 0) return () => {}
  let written = 0
  let since = monotonicNow()
  const timer = setInterval(() => {
    const now = monotonicNow()
    const last = written
    written = passed() - stream.writableLength
    if (stream.writableLength === 0 || written !== last) since = now
    else if (now - since >= ms) stalled()
  }, ms / checks).unref()
  return () => clearInterval(timer)
}
