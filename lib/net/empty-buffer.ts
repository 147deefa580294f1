/** No bytes: one for all, so that none of them keeps a part of a larger one alive. */
export const emptyBuffer: Buffer = Buffer.alloc(0)
