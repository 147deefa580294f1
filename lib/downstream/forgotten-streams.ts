/**
 * Streams of HTTP/2 that their client has reset with NO_ERROR while bytes of the response wait. Node neither destroys such a stream nor
 * emits an event, and removes its timer; the session, which waits for it, then outlives its connection.
 */
import type { EventEmitter } from 'node:events'

/** The interval of the checks, in milliseconds. */
const pace = 250

/** A stream of a response, as far as it is used here. It may be closed and finished, and still be read. */
type Stream = { readonly [state in 'closed' | 'destroyed' | 'writableFinished']: boolean } & { destroy (error: Error): void }

type Response = EventEmitter & { readonly stream?: Stream | undefined }

/** The responses that are checked. One timer serves all. */
const responses: Set<Response> = new Set()
let sweeper: NodeJS.Timeout | undefined

/** Destroys the stream of a response, should its client reset it so. */
export function destroyForgotten (response: Response): void {
  if (responses.has(response)) return
  responses.add(response)
  response.once('finish', forget)
  response.once('close', forget)
  sweeper ??= setInterval(sweep, pace).unref()
}

function forget (this: Response): void {
  responses.delete(this)
  if (responses.size > 0) return
  clearInterval(sweeper)
  sweeper = undefined
}

function sweep (): void {
  for (const response of responses) {
    const { stream } = response
    if (stream === undefined || stream.destroyed) forget.call(response)
    else if (stream.closed && !stream.writableFinished) stream.destroy(new Error('the client has reset the stream'))
  }
}
