/**
 * What makes sockets cheap on Node 20. Each of them begins with `{ ...options }`, to which four properties are added. V8 11 remembers how it
 * copied the first four shapes of options that it met, and a copy made that way that gets a property more has a hidden class that no other
 * object shares: 8 µs, and 840 bytes of the old generation, for every socket, those that a server accepts, too. Once it has met more shapes than
 * that it copies another way, which takes 0.6 µs for all of a socket and leaves nothing behind (bench/LOG.md). Whether a process
 * comes to that by itself is chance. From V8 12 on (Node 22) they share them either way.
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
