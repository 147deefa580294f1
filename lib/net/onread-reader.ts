/**
 * A reader without a stream. A socket that this server dials for a tunnel passes what it reads to a function: that saves the stream's
 * machinery, and an allocation of 64 KiB for every read, however small. Sockets that a server has accepted have no such option.
 */
import type { OnReadOpts } from 'node:net'
import type { Duplex } from 'node:stream'

/** The size in bytes of one read: a little more than 64 KiB, so that a message of that size is not read, and written, in two pieces. */
const bufferBytes = 66_560

/** A read of fewer bytes is copied out of the buffer that all sockets share; after a larger read a socket gets a buffer of its own. */
const copiedBytes = 16_384

const shared = Buffer.allocUnsafeSlow(bufferBytes)
const kOnReadReader: unique symbol = Symbol('fastify-wstunnel.onread-reader')

type WithOnReadReader = object & { [kOnReadReader]?: OnReadReader }

/**
 * The receiver of the bytes. It is an object rather than a function: with closures in a property, all that was in their scope outlived two
 * scavenges, although nothing referred to them any more (bench/LOG.md).
 */
export interface Reader {
  /** Takes the bytes. Returns true if it still needs them afterwards; else the next read overwrites them. */
  take (bytes: Buffer): boolean
}

/** Receives the bytes of a socket that was connected with its `onread`. It buffers nothing. */
export class OnReadReader {
  reader: Reader = nobody
  /** The buffer of the next read. */
  #next = shared

  /** The `onread` option of `net.connect`. */
  readonly onread: OnReadOpts = {
    buffer: () => this.#next,
    callback: (length) => this.#read(length)
  }

  /** Drops all bytes. */
  leave (): void {
    this.reader = nobody
  }

  /** Emits the bytes as `'data'`, until another reader takes over. */
  serve<Stream extends WithOnReadReader & Duplex> (socket: Stream): Stream {
    this.reader = new Emitter(socket)
    socket[kOnReadReader] = this
    return socket
  }

  #read (length: number): boolean {
    const buffer = this.#next
    const bytes = buffer.subarray(0, length)
    // No reader may keep the shared buffer: other sockets read into it, too.
    const kept = this.reader.take(buffer === shared ? Buffer.from(bytes) : bytes)
    if (length < copiedBytes) this.#next = shared
    else if (kept || buffer === shared) this.#next = Buffer.allocUnsafeSlow(bufferBytes)
    return true
  }
}

export function onReadReaderOf (stream: WithOnReadReader): OnReadReader | undefined {
  return stream[kOnReadReader]
}

class Emitter implements Reader {
  readonly #socket: Duplex

  constructor (socket: Duplex) {
    this.#socket = socket
  }

  take (bytes: Buffer): boolean {
    return this.#socket.emit('data', bytes)
  }
}

/** A reader that drops all bytes. */
const nobody: Reader = { take: () => false }
