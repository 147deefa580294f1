/** Extended CONNECTs on their way through the router: a drain waits for the response of each. */
import type { Http2ServerResponse } from 'node:http2'
import type { UpgradeExchanges } from '../downstream/awaited-upgrade.ts'
import { destroyForgotten } from '../downstream/forgotten-streams.ts'
import { destroy } from '../net/socket.ts'

/** Keeps a response among the exchanges until it is finished, or hijacked for a tunnel and completed. */
export function trackConnect (exchanges: UpgradeExchanges, response: Http2ServerResponse): void {
  const awaited = {
    index: -1,
    /** A drain is over, and whoever has the request has not answered: a hook that waits, or a route that is not ours. */
    abort (): void { setImmediate(abortUnanswered, response, untrack) }
  }
  const untrack = (): void => exchanges.untrack('upgrade', awaited)
  exchanges.track('upgrade', awaited)
  destroyForgotten(response)
  response.once('finish', untrack)
  response.once('close', untrack)
}

/** An answer that has begun is an ordinary response, and not waited for. */
function abortUnanswered (response: Http2ServerResponse, untrack: () => void): void {
  if (response.headersSent) untrack()
  else destroy(response.stream)
}
