/** Functions for sockets of either side, dialled or accepted. */
import type { Socket } from 'node:net'
import type { EventEmitter } from 'node:events'
import type { Duplex, Readable } from 'node:stream'

/** Listens for `'error'` while no other code does: without a listener the event would end the process. */
export function ignoreErrors (stream: EventEmitter): void {
  stream.on('error', ignore)
}

function ignore (): void {}

/** Enables TCP keep-alive after `ms` milliseconds of silence, if the stream supports it; 0 is off. */
export function keepAlive (stream: Duplex, ms: number): void {
  if (ms > 0) (stream as Partial<Pick<Socket, 'setKeepAlive'>>).setKeepAlive?.(true, ms)
}

/**
 * Restarts reading after Node's HTTP parser has let go of a socket. The parser may have stopped the handle for a body without telling the
 * stream, which would then wait for that read forever. An empty `push()` ends the wait, as Node documents, and adds no byte.
 */
export function restartReading (stream: Readable): void {
  stream.push('')
}

/** Closes a connection: with a reset if its transport is TCP, or TLS over a socket that this server dialled; any other is just destroyed. */
export function reset (stream: Duplex, transport: Duplex = stream): void {
  try {
    // Not after our FIN: libuv cannot reset a socket that is shutting down, and Node then forgets to close it.
    if (!stream.writableEnded) (transport as Partial<Pick<Socket, 'resetAndDestroy'>>).resetAndDestroy?.()
  } catch {
    // a TLS stream or a unix socket: destroyed below
  }
  stream.destroy()
}
