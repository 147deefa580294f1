/**
 * Sockets cost 8 µs and 840 bytes of the old generation more than they have to.
 *
 * Versions: Node 20 (V8 11). From V8 12 on (Node 22) this file changes nothing.
 * Cause: each socket begins with `{ ...options }` and adds four properties. V8 11 remembers how it copied the first four shapes of options that
 * it met, and a copy made that way that gets another property has a hidden class that no other object shares. Once it has met more shapes it
 * copies another way, which leaves nothing behind (figures: bench/LOG.md). Without help, chance decides when a process comes to that.
 * Test: bench/tricks/hidden-classes.test.ts.
 * Remove when: Node 20 is no longer supported.
 */
import { Socket } from 'node:net'

/** More than V8 remembers. */
const shapes: ReadonlyArray<Readonly<Record<string, unknown>>> = [
  { noDelay: true }, { keepAlive: false }, { readable: true }, { writable: true }, { pauseOnCreate: false }, { allowHalfOpen: true }
]
/** It remembers nothing of a function that has hardly run. Eight are enough. */
const times = 16

let shared = false

/** Once in a process, has V8 meet options of many shapes. The sockets have no handle: there is nothing to be released. */
export function shareHiddenClasses (): void {
  if (shared || !process.versions.v8.startsWith('11.')) return
  shared = true
  for (let i = 0; i < times; i++) for (const shape of shapes) new Socket(shape).destroy()
}
