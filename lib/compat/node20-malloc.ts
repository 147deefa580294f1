/**
 * Node 20 cannot give memory back. There a scavenge frees tens of mebibytes at once, and glibc returns them to the system, which has to
 * find, and to clear, every page anew for the reads that follow. Remove with Node 20.
 */

/** The largest that glibc learns from is 32 MiB, with some bytes of its own (`DEFAULT_MMAP_THRESHOLD_MAX`, on 64 bits). */
const mappedBytes = 31 * 1024 * 1024

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
    Buffer.allocUnsafeSlow(mappedBytes) // freed by the next scavenge
  } catch {
    // Where there is so little address space, all stays as it was.
  }
}
