/** Upgrades on their way through the router: a drain waits for the response of each, and the connection closes behind it. */
import { closeInStages } from './staged-close.ts'
import { isHeadWritten, type UpgradeResponse } from './upgrade-response.ts'

/** Where upgrades are kept until they are answered: see `lifecycle/registry`. */
export interface UpgradeExchanges {
  track (kind: 'upgrade', exchange: { index: number, abort (): void }): void
  untrack (kind: 'upgrade', exchange: { index: number, abort (): void }): void
}

class AwaitedUpgrade {
  index = -1
  readonly #exchanges: UpgradeExchanges
  readonly #response: UpgradeResponse

  constructor (exchanges: UpgradeExchanges, response: UpgradeResponse) {
    this.#exchanges = exchanges
    this.#response = response
  }

  /** A drain is over. */
  abort (): void {
    setImmediate(abortUnanswered, this, this.#response)
  }

  untrack (): void {
    this.#exchanges.untrack('upgrade', this)
  }
}

const kAwaited: unique symbol = Symbol('fastify-wstunnel.awaited')

type AwaitedResponse = UpgradeResponse & { [kAwaited]?: AwaitedUpgrade }

/** Awaits a response, and closes the connection behind it unless it was hijacked for a tunnel. */
export function trackUpgrade (exchanges: UpgradeExchanges, response: AwaitedResponse): void {
  const awaited = response[kAwaited] = new AwaitedUpgrade(exchanges, response)
  exchanges.track('upgrade', awaited)
  response.on('finish', afterResponse)
  response.on('close', untrackUpgrade)
}

/**
 * A drain is over, and whoever has the request has not answered: a hook that waits, or a route that is not ours. An answer that
 * has begun is an ordinary response, and not waited for.
 */
function abortUnanswered (awaited: AwaitedUpgrade, response: UpgradeResponse): void {
  if (isHeadWritten(response)) awaited.untrack()
  else response.req.socket.destroy()
}

/** After an ordinary response the connection closes: Node's parser has let go of it, and bytes of the other protocol may be on their way. */
function afterResponse (this: AwaitedResponse): void {
  const { req: request } = this
  if (isHeadWritten(this)) { // else hijacked, for the tunnel
    this.detachSocket(request.socket)
    request.resume() // Node 26 reads a body into it
    closeInStages(request.socket)
  }
  this[kAwaited]?.untrack()
}

function untrackUpgrade (this: AwaitedResponse): void {
  this[kAwaited]?.untrack()
}
