/** Which request's asynchronous context code runs in (AsyncLocalStorage): sockets and timers keep the one that they were made in as long as they live. */
import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks'

/** Calls a function outside of any request's context. What it makes may outlive every request, and keeps none of them. */
export const outsideRequests: <T, Args extends unknown[]>(call: (...args: Args) => T, ...args: Args) => T = AsyncLocalStorage.snapshot()

/** The context that runs now, to be entered again: `runInAsyncScope`. */
export class RequestContext extends AsyncResource {
  constructor () {
    super('WSTUNNEL_EXCHANGE')
  }
}

/** Calls a function of the user's outside of any request's context, in one of its own: what it enters there, it leaves to nobody. */
export function callOutsideRequests (call: () => void): void {
  outsideRequests(runAlone, call)
}

function runAlone (call: () => void): void {
  new RequestContext().runInAsyncScope(call)
}
