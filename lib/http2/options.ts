/** What a registration says of HTTP/2, and its defaults. */
import { type TSchema, Type } from '@sinclair/typebox'
import { flag, maybe, strictObject } from '../config/schema.ts'

/** Extended CONNECT of HTTP/2 in front (RFC 8441; httpd: `H2WebSockets`). */
export interface Http2Options {
  /**
   * Whether clients are told that WebSockets, and other protocols, may come over HTTP/2. It holds for the whole server, every WebSocket route that is not
   * this plugin's included, and for as long as a client's session lives. Errors where the server has no `http2: true`. Default: false, and no setting
   * of the server is touched.
   */
  webSockets?: boolean
  /** Streams that a client may have open at a time, in one session. Default: 1000. */
  maxConcurrentStreams?: number
  /** Bytes that a client may send on one stream before they are read: what a tunnel whose upstream does not read may hold. Default: 262144. */
  streamWindow?: number
  /** The same of a whole session. Default: 1048576. */
  sessionWindow?: number
}

export type Http2Settings = Readonly<Required<Http2Options>>

export const http2Defaults: Http2Settings = Object.freeze({ webSockets: false, maxConcurrentStreams: 1000, streamWindow: 262_144, sessionWindow: 1_048_576 })

const between = (minimum: number, maximum: number): TSchema =>
  maybe(Type.Integer({ minimum, maximum, description: `a whole number from ${minimum} to ${maximum}` }))

/** The most that a window of HTTP/2 may be, and what one is unless something is said (RFC 9113, 6.9.1 and 6.9.2). */
const window = { most: 2 ** 31 - 1, initial: 65_535 }

export const http2Schema: TSchema = maybe(strictObject({
  webSockets: flag,
  maxConcurrentStreams: between(1, window.most),
  streamWindow: between(1024, window.most),
  sessionWindow: between(window.initial, window.most)
}, 'an object of webSockets, maxConcurrentStreams, streamWindow and sessionWindow'))
