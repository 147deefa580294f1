/** RFC 8441, 4: any 2xx opens a WebSocket. Whoever answers an extended CONNECT otherwise than by the switch must not send one. */
import { constants, type Http2ServerResponse } from 'node:http2'
import type { Front } from '../downstream/front.ts'

type WriteHead = (status: number, ...rest: unknown[]) => Http2ServerResponse

/**
 * Makes a response say 502 in place of a success: a hook's, a cache's, a route's that is not ours.
 * @param alone true if no other code listens for upgrades. Otherwise a route that is not ours may be a WebSocket's over HTTP/1.1: its success, and its
 * 404 to a request that is no upgrade, become HTTP_1_1_REQUIRED
 */
export function refuseSuccess (response: Http2ServerResponse, front: Front, alone: boolean): void {
  const writeHead = response.writeHead.bind(response) as WriteHead
  Object.defineProperty(response, 'writeHead', {
    configurable: true,
    writable: true,
    value (status: number, ...rest: unknown[]): Http2ServerResponse {
      const succeeds = status >= 200 && status < 300
      if ((succeeds || status === 404) && !alone && !front.isRouted) return requireHttp1(response)
      return writeHead(succeeds ? 502 : status, ...rest)
    }
  })
}

/** Closes the stream so that its client comes by HTTP/1.1, as Chromium does. What is still written to the response is dropped. */
export function requireHttp1 (response: Http2ServerResponse): Http2ServerResponse {
  response.stream.close(constants.NGHTTP2_HTTP_1_1_REQUIRED)
  // Node's `end()` comes here twice if it writes the head itself, and other plugins replace these functions.
  const own = { configurable: true, writable: true }
  Object.defineProperties(response, { write: { ...own, value: () => true }, end: { ...own, value: () => response } })
  return response
}
