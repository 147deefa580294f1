/**
 * Releases the memory of chunks that have been read, as soon as nothing needs them. Node allocates up to 64 KiB for every read, and V8
 * counts those bytes: after some tens of mebibytes it marks the whole heap of the process, which costs more than to carry the bytes
 * (bench/LOG.md). A chunk that has been passed on is garbage long before a collector finds it.
 */

/** The minimum size in bytes of a chunk that is released; the collector takes smaller ones. It is the size of the longest TLS record. */
const minReleaseBytes = 16_384

type Memory = ArrayBufferLike & {
  /** ECMAScript 2024, from Node 22 on. Without it the collector frees every chunk. */
  transfer?: (length: number) => ArrayBuffer
}

/** A callback of `write`. */
export type Written = (error?: Error | null) => void

/** Returns true if a chunk has a large buffer to itself. */
function isReleasable ({ buffer, byteLength }: Buffer): boolean {
  return byteLength >= minReleaseBytes && buffer.byteLength === byteLength && (buffer as Memory).transfer !== undefined
}

/** Releases the memory of a chunk, which nothing else may refer to: the chunk has no bytes from then on. */
export function releaseBuffer (chunk: Buffer): void {
  if (isReleasable(chunk)) (chunk.buffer as Memory).transfer?.(0)
}

/** Returns a callback for `write` that releases the chunk once it is written, or `undefined` if that gains nothing. */
export function releaseOnceWritten (chunk: Buffer): Written | undefined {
  return isReleasable(chunk) ? (error) => { if (error == null) releaseBuffer(chunk) } : undefined
}
