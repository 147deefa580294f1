/** What sockets have in common, whoever dialled or accepted them. */
import type { Socket } from 'node:net'
import type { EventEmitter } from 'node:events'
import type { ServerHttp2Stream } from 'node:http2'
import { addAbortSignal, type Duplex, type Readable } from 'node:stream'

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

/** Whether this is one stream of many on a connection of HTTP/2. */
export function isHttp2Stream (stream: Duplex): stream is ServerHttp2Stream {
  return 'rstCode' in stream
}

/**
 * Whether the other end has reset a stream of HTTP/2. Node tells of some codes by no error, of NO_ERROR as of an end, and of our own resets in the
 * same way.
 */
export function isStreamReset (stream: Duplex): boolean {
  return isHttp2Stream(stream) && (stream.aborted || (stream.rstCode ?? 0) !== 0)
}

const aborted = AbortSignal.abort()

/** Destroys a connection; of a stream of HTTP/2, in a way that its peer does not take for an end. */
export function destroy (stream: Duplex): void {
  // RST_STREAM(CANCEL), as RFC 8441, 5 has it. Node's `close(code)` sends END_STREAM before it, and its `destroy()` NO_ERROR.
  if (isHttp2Stream(stream) && !stream.destroyed) addAbortSignal(aborted, stream)
  else stream.destroy()
}

/** Closes a connection with a reset where its outgoing leg is TCP, or TLS over a socket that we dialled; others just so. Of HTTP/2 only the one stream. */
export function reset (stream: Duplex, transport: Duplex = stream): void {
  try {
    // Not after our FIN: libuv cannot reset a socket that is being shut down, and Node then forgets to close it.
    if (!stream.writableEnded && !isHttp2Stream(stream)) (transport as Partial<Pick<Socket, 'resetAndDestroy'>>).resetAndDestroy?.()
  } catch {
    // a TLS stream or a unix socket: destroyed below
  }
  destroy(stream)
}
