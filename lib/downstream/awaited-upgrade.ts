/** Upgrades in flight through the router: a drain waits for the response of each, and the connection closes after it. */
import { closeInStages } from './staged-close.ts'
import { isHeadWritten, type UpgradeResponse } from './upgrade-response.ts'

/** The register of upgrades that have no response yet: see `lifecycle/registry`. */
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

  /** Called at the end of a drain. */
  abort (): void {
    setImmediate(abortUnanswered, this, this.#response)
  }

  untrack (): void {
    this.#exchanges.untrack('upgrade', this)
  }
}

const kAwaited: unique symbol = Symbol('fastify-wstunnel.awaited')

type AwaitedResponse = UpgradeResponse & { [kAwaited]?: AwaitedUpgrade }

/** Waits for a response, and closes the connection after it unless it was hijacked for a tunnel. */
export function trackUpgrade (exchanges: UpgradeExchanges, response: AwaitedResponse): void {
  const awaited = response[kAwaited] = new AwaitedUpgrade(exchanges, response)
  exchanges.track('upgrade', awaited)
  response.on('finish', afterResponse)
  response.on('close', untrackUpgrade)
}

/**
 * Aborts an upgrade that is still without a response at the end of a drain: a hook waits, or a route of the user's. A response that has
 * begun is an ordinary one and goes on.
 */
function abortUnanswered (awaited: AwaitedUpgrade, response: UpgradeResponse): void {
  if (isHeadWritten(response)) awaited.untrack()
  else response.req.socket.destroy()
}

/**
 * The listener of the response's `'finish'` and `'close'`. After an ordinary response the connection closes: Node's parser has let go of
 * it, and bytes of the other protocol may arrive.
 */
function afterResponse (this: AwaitedResponse): void {
  const { req: request } = this
  if (isHeadWritten(this)) { // else it was hijacked for the tunnel
    this.detachSocket(request.socket)
    request.resume() // Node 26 reads the body into the request
    closeInStages(request.socket)
  }
  this[kAwaited]?.untrack()
}

function untrackUpgrade (this: AwaitedResponse): void {
  this[kAwaited]?.untrack()
}
