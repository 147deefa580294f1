/** What sockets have in common, whoever dialled or accepted them. */
import type { Socket } from 'node:net'
import type { EventEmitter } from 'node:events'
import type { Duplex, Readable } from 'node:stream'

/** Listens where nobody else does, or not yet: an 'error' without a listener would end the process. */
export function ignoreErrors (stream: EventEmitter): void {
  stream.on('error', ignore)
}

function ignore (): void {}

/** Asks for TCP keep-alive, where a connection can have it; 0 is none. */
export function keepAlive (stream: Duplex, ms: number): void {
  if (ms > 0) (stream as Partial<Pick<Socket, 'setKeepAlive'>>).setKeepAlive?.(true, ms)
}

/**
 * Reads on where Node's HTTP parser has let go of a socket. It may have stopped the handle for a body, unknown to the stream, which would wait for that
 * read for ever. An empty `push()` ends it, as Node documents, and is no byte.
 */
export function restartReading (stream: Readable): void {
  stream.push('')
}

/** Closes a connection with a reset where its outgoing leg is TCP, or TLS over a socket that we dialled; others just so. */
export function reset (stream: Duplex, transport: Duplex = stream): void {
  try {
    // Not after our FIN: libuv cannot reset a socket that is being shut down, and Node then forgets to close it.
    if (!stream.writableEnded) (transport as Partial<Pick<Socket, 'resetAndDestroy'>>).resetAndDestroy?.()
  } catch {
    // a TLS stream or a unix socket: destroyed below
  }
  stream.destroy()
}
