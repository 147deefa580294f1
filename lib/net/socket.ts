/** Functions for sockets of either side, dialled or accepted. */
import type { Socket } from 'node:net'
import type { EventEmitter } from 'node:events'
import type { ServerHttp2Stream } from 'node:http2'
import { addAbortSignal, type Duplex, type Readable } from 'node:stream'

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

/** Sends what the stream holds back until the end of this turn: `destroy()` would drop it. */
export function flush (stream: Duplex): void {
  while (stream.writableCorked > 0) stream.uncork()
}

/** Returns true if a stream is one of many on a connection of HTTP/2. */
export function isHttp2Stream (stream: Duplex): stream is ServerHttp2Stream {
  return 'rstCode' in stream
}

/**
 * Returns true if a stream of HTTP/2 was reset, by its peer or by this server. Node emits no error for some codes, and reports NO_ERROR as an end.
 */
export function isStreamReset (stream: Duplex): boolean {
  return isHttp2Stream(stream) && (stream.aborted || (stream.rstCode ?? 0) !== 0)
}

const aborted = AbortSignal.abort()

/** Destroys a connection. A stream of HTTP/2 is reset, so that its peer does not take it for an end. */
export function destroy (stream: Duplex): void {
  // RST_STREAM(CANCEL) (RFC 8441, 5). Node's `close(code)` sends END_STREAM first, and its `destroy()` sends NO_ERROR.
  if (isHttp2Stream(stream) && !stream.destroyed) addAbortSignal(aborted, stream)
  else stream.destroy()
}

/**
 * Closes a connection: with a reset if its transport is TCP, or TLS over a socket that this server dialled; any other is just destroyed. Of a
 * connection of HTTP/2 it closes the one stream.
 */
export function reset (stream: Duplex, transport: Duplex = stream): void {
  try {
    // Not after our FIN: libuv cannot reset a socket that is shutting down, and Node then forgets to close it.
    if (!stream.writableEnded && !isHttp2Stream(stream)) (transport as Partial<Pick<Socket, 'resetAndDestroy'>>).resetAndDestroy?.()
  } catch {
    // a TLS stream or a unix socket: destroyed below
  }
  destroy(stream)
}
