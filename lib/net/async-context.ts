/**
 * The asynchronous context (AsyncLocalStorage) in which code runs: sockets and timers keep the context in which they were made for as long
 * as they live.
 */
import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks'

/** Calls a function outside of any request's context. The sockets and timers that it makes may outlive every request, and so keep none of them alive. */
export const outsideRequests: <T, Args extends unknown[]>(call: (...args: Args) => T, ...args: Args) => T = AsyncLocalStorage.snapshot()

/** The current context, to be entered again with `runInAsyncScope`. */
export class RequestContext extends AsyncResource {
  constructor () {
    super('WSTUNNEL_EXCHANGE')
  }
}

/** Calls a user's function outside of any request's context, in a context of its own: a store that the function enters leaks to no other code. */
export function callOutsideRequests (call: () => void): void {
  outsideRequests(runAlone, call)
}

function runAlone (call: () => void): void {
  new RequestContext().runInAsyncScope(call)
}
