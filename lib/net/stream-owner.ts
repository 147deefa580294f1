/**
 * The owner of a stream: the one object that its events are reported to. The listeners are added once, and find the owner through a symbol on
 * the stream, so that a stream passes from the client that waits, or from the handshake, to the tunnel by a change of its owner. A closure
 * would keep its scope alive, and with it the request, for as long as the stream lives.
 */
import type { Duplex } from 'node:stream'
import { onReadReaderOf, type Reader } from './onread-reader.ts'

/** The receiver of a stream's events. Like any `Reader`, it gets the bytes by `take`. */
export interface StreamOwner extends Reader {
  /** Called when the peer has ended its half. */
  ended (): void
  /** Called when the stream is closed. */
  closed (): void
  /** Called for the stream's `'error'`. Other code may listen to it as well. */
  failed (error: NodeJS.ErrnoException): void
  /** Called when the stream takes more bytes again. */
  drained (): void
}

const kOwner: unique symbol = Symbol('fastify-wstunnel.owner')

/** A stream; its owner is `undefined` after the last one has left it. */
type Owned = Duplex & { [kOwner]?: StreamOwner | undefined }

/** Makes an object the owner of a stream, instead of any earlier owner. */
export function own (stream: Owned, owner: StreamOwner): void {
  const intake = onReadReaderOf(stream)
  if (intake !== undefined) intake.reader = owner
  const isOwned = stream[kOwner] !== undefined
  stream[kOwner] = owner
  if (isOwned) return
  if (intake === undefined) stream.on('data', onData)
  stream.on('end', onEnd)
  stream.on('drain', onDrain)
  stream.on('error', onError)
  stream.on('close', onClose)
}

export function ownerOf (stream: Owned): StreamOwner | undefined {
  return stream[kOwner]
}

/** Removes the owner and the listeners: other code reads on. */
export function disown (stream: Owned): void {
  if (stream[kOwner] === undefined) return
  stream[kOwner] = undefined
  onReadReaderOf(stream)?.serve(stream)
  stream.off('data', onData)
  stream.off('end', onEnd)
  stream.off('drain', onDrain)
  stream.off('error', onError)
  stream.off('close', onClose)
}

/** Removes the owner of a stream that has closed. A closed socket lives on for a while, and would take its owner into V8's old generation. */
export function forgetOwner (stream: Owned): void {
  stream[kOwner] = undefined
  onReadReaderOf(stream)?.leave()
}

/** Stops calling `take`. From now on the owner reads what is left in the stream. */
export function stopReading (stream: Owned): void {
  stream.off('data', onData)
}

function onData (this: Owned, chunk: Buffer): void {
  this[kOwner]?.take(chunk)
}

function onEnd (this: Owned): void {
  this[kOwner]?.ended()
}

function onDrain (this: Owned): void {
  this[kOwner]?.drained()
}

function onError (this: Owned, error: Error): void {
  this[kOwner]?.failed(error)
}

function onClose (this: Owned): void {
  this[kOwner]?.closed()
}
