/**
 * Reading without a stream. A socket that we dial for a tunnel hands over what it reads by a call: that saves the stream's
 * machinery, and an allocation of 64 KiB for every read, however little it brings. Sockets that a server has accepted cannot
 * do that.
 */
import type { OnReadOpts } from 'node:net'
import type { Duplex } from 'node:stream'

/** What one read may bring: a little more than 64 KiB, so that a message of that size is not read, and written, in two pieces. */
const bufferBytes = 66_560

/** A read of less is copied out of the buffer that all sockets share; after one of more a socket gets a buffer of its own. */
const copiedBytes = 16_384

const shared = Buffer.allocUnsafeSlow(bufferBytes)
const kOnReadReader: unique symbol = Symbol('fastify-wstunnel.onread-reader')

type WithOnReadReader = object & { [kOnReadReader]?: OnReadReader }

/**
 * Who gets the bytes. An object rather than a function: with closures that were put into a property and called there, all that
 * was in their scope outlived two scavenges, although nobody had them any more (bench/LOG.md).
 */
export interface Reader {
  /** Returns whether it still needs the bytes afterwards: else their memory is read into again. */
  take (bytes: Buffer): boolean
}

/** Where the bytes of a socket go that was connected with its `onread`. Nothing is buffered here. */
export class OnReadReader {
  reader: Reader = nobody
  /** What the next read goes into. */
  #next = shared

  /** An option of `net.connect`. */
  readonly onread: OnReadOpts = {
    buffer: () => this.#next,
    callback: (length) => this.#read(length)
  }

  /** Until somebody else takes them, the bytes come as `'data'`. */
  serve<Stream extends WithOnReadReader & Duplex> (socket: Stream): Stream {
    this.reader = new Emitter(socket)
    socket[kOnReadReader] = this
    return socket
  }

  #read (length: number): boolean {
    const buffer = this.#next
    const bytes = buffer.subarray(0, length)
    // Nobody may keep what is shared: other sockets read into it, too.
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

/** Reads what nobody wants any more. */
export const nobody: Reader = { take: () => false }
