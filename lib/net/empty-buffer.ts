/** The one empty buffer: slices of no bytes would keep larger buffers alive. */
export const emptyBuffer: Buffer = Buffer.alloc(0)
