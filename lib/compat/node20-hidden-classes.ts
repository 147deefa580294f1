/**
 * Symptom: sockets cost 8 µs and 840 bytes of the old generation more than necessary.
 * Versions: Node 20 (V8 11). From V8 12 on (Node 22) this file changes nothing.
 * Cause: each socket begins with `{ ...options }` and adds four properties. V8 11 caches how it copied the first four shapes of options
 * that it met; an object copied in that way that gets another property has a hidden class that no other object shares. After more shapes V8
 * copies in another way, without this effect (figures: bench/LOG.md). Without this file, chance decides when a process reaches that point.
 * Test: bench/tricks/hidden-classes.test.ts.
 * Remove when: Node 20 is no longer supported.
 */
import { Socket } from 'node:net'

/** More shapes than V8 caches. */
const shapes: ReadonlyArray<Readonly<Record<string, unknown>>> = [
  { noDelay: true }, { keepAlive: false }, { readable: true }, { writable: true }, { pauseOnCreate: false }, { allowHalfOpen: true }
]
/** The number of calls per shape: V8 caches nothing for a function that has hardly run. Eight are enough. */
const times = 16

let shared = false

/** Copies options of many shapes, once in a process. The sockets have no handle, so there is nothing to release. */
export function shareHiddenClasses (): void {
  if (shared || !process.versions.v8.startsWith('11.')) return
  shared = true
  for (let i = 0; i < times; i++) for (const shape of shapes) new Socket(shape).destroy()
}
