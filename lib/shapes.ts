/**
 * What makes sockets cheap on Node 20. Each of them begins with `{ ...options }` and four properties more. V8 11.3 remembers how it
 * copied the first few shapes of options that it met, and a property that is added to such a copy gives it a hidden class that it shares
 * with no other object: 8 µs and 1.4 KiB for every socket, of a server, too. Once it has met more shapes than it remembers it copies
 * another way, and a socket takes 0.4 µs (bench/LOG.md). Whether a process comes to that by itself is chance. V8 12 (Node 22) shares them.
 */
import { Socket } from 'node:net'

/** More than V8 remembers: four. */
const shapes: ReadonlyArray<Readonly<Record<string, unknown>>> = [
  { noDelay: true }, { keepAlive: false }, { readable: true }, { writable: true }, { pauseOnCreate: false }, { allowHalfOpen: true }
]
/** It remembers nothing of a function that has hardly run. Eight are enough. */
const times = 16

let met = false

/** Has V8 meet options of many shapes. The sockets have no handle: there is nothing to be released. */
export function meetShapes (): void {
  if (met || !process.versions.v8.startsWith('11.')) return
  met = true
  for (let i = 0; i < times; i++) for (const shape of shapes) new Socket(shape).destroy()
}
