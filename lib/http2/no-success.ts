/** RFC 8441, 4: any 2xx opens a WebSocket. Whoever answers an extended CONNECT otherwise than by the switch must not send one. */
import type { Http2ServerResponse } from 'node:http2'

type WriteHead = (status: number, ...rest: unknown[]) => Http2ServerResponse

/** Makes a response say 502 in place of a success: a hook's, a cache's, a route's that is not ours. */
export function refuseSuccess (response: Http2ServerResponse): void {
  const writeHead = response.writeHead.bind(response) as WriteHead
  Object.defineProperty(response, 'writeHead', {
    configurable: true,
    writable: true,
    value (status: number, ...rest: unknown[]): Http2ServerResponse {
      return writeHead(status >= 200 && status < 300 ? 502 : status, ...rest)
    }
  })
}
