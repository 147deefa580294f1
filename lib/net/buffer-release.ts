/**
 * The memory of what was read, given back as soon as nobody needs it. Node allocates up to 64 KiB for every read, and V8 counts those
 * bytes: each time that they make some tens of mebibytes it marks the whole heap of the process, which costs more than to carry them
 * (bench/LOG.md). A chunk that was written on is of no use any more, long before a collector finds that out.
 *
 * Node 20 cannot give memory back. There a scavenge frees tens of mebibytes at once, and glibc returns them to the system, which has to
 * find, and to clear, every page anew for the reads that follow.
 */

/** Less is left to the collector. The longest record of TLS has as much. */
const much = 16_384

/** The largest that glibc learns from is 32 MiB, with some bytes of its own (`DEFAULT_MMAP_THRESHOLD_MAX`, on 64 bits). */
const lesson = 31 * 1024 * 1024

type Memory = ArrayBufferLike & {
  /** ECMAScript 2024: Node 22. Where it is missing, all is left to the collector. */
  transfer?: (length: number) => ArrayBuffer
}

/** A callback of `write`. */
export type Written = (error?: Error | null) => void

/** Whether a chunk has much memory to itself. */
function isWorthIt ({ buffer, byteLength }: Buffer): boolean {
  return byteLength >= much && buffer.byteLength === byteLength && (buffer as Memory).transfer !== undefined
}

/** Gives the memory of a chunk back, which nobody else may have: it has no bytes from then on. */
export function giveBack (chunk: Buffer): void {
  if (isWorthIt(chunk)) (chunk.buffer as Memory).transfer?.(0)
}

/** The same as soon as it is written: to be handed to `write`. `undefined` where nothing is gained by it. */
export function givingBack (chunk: Buffer): Written | undefined {
  return isWorthIt(chunk) ? (error) => { if (error == null) giveBack(chunk) } : undefined
}

let kept = false

/**
 * Once, where all is left to the collector: has glibc keep up to 62 MiB that are free at the end of its heap, rather than 128 KiB. It learns that
 * from the largest piece that was mapped and freed so far (mallopt(3), `M_MMAP_THRESHOLD`), and just as well from one that nobody has written to, which
 * takes no memory. The price: what is smaller than that piece is not mapped by itself any more, and what is alive keeps what is free below it. Who
 * sets a threshold in the environment has decided otherwise, and glibc learns nothing.
 */
export function keepFreedMemory (): void {
  if (kept || 'transfer' in ArrayBuffer.prototype || process.platform !== 'linux') return
  kept = true
  try {
    Buffer.allocUnsafeSlow(lesson) // freed by the next scavenge
  } catch {
    // Where there is so little address space, all stays as it was.
  }
}
