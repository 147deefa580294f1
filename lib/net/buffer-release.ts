/**
 * The memory of what was read, given back as soon as nobody needs it. Node allocates up to 64 KiB for every read, and V8 counts those
 * bytes: each time that they make some tens of mebibytes it marks the whole heap of the process, which costs more than to carry them
 * (bench/LOG.md). A chunk that was written on is of no use any more, long before a collector finds that out.
 */

/** Less is left to the collector. The longest record of TLS has as much. */
const minReleaseBytes = 16_384

type Memory = ArrayBufferLike & {
  /** ECMAScript 2024: Node 22. Where it is missing, all is left to the collector. */
  transfer?: (length: number) => ArrayBuffer
}

/** A callback of `write`. */
export type Written = (error?: Error | null) => void

/** Whether a chunk has much memory to itself. */
function isReleasable ({ buffer, byteLength }: Buffer): boolean {
  return byteLength >= minReleaseBytes && buffer.byteLength === byteLength && (buffer as Memory).transfer !== undefined
}

/** Gives the memory of a chunk back, which nobody else may have: it has no bytes from then on. */
export function releaseBuffer (chunk: Buffer): void {
  if (isReleasable(chunk)) (chunk.buffer as Memory).transfer?.(0)
}

/** The same as soon as it is written: to be handed to `write`. `undefined` where nothing is gained by it. */
export function releaseOnceWritten (chunk: Buffer): Written | undefined {
  return isReleasable(chunk) ? (error) => { if (error == null) releaseBuffer(chunk) } : undefined
}
