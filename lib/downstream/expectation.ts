/** `Expect`: does what Node does on its own if no listener exists, but keeps the order of responses on a connection. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { keepResponse } from './pipelining.ts'
import { guard, isGuard, isHeadWritten } from './upgrade-response.ts'

/**
 * Adds the listeners.
 * @returns a function that removes them
 */
export function answerExpectations (server: Server): () => void {
  const onContinue = guard(function onWstunnelCheckContinue (request: IncomingMessage, response: ServerResponse): void {
    keepResponse(request, response)
    if (standsInForNode(server, 'checkContinue', onContinue)) continueRequest(server, request, response)
  })
  const onExpectation = guard(function onWstunnelCheckExpectation (request: IncomingMessage, response: ServerResponse): void {
    keepResponse(request, response)
    if (standsInForNode(server, 'checkExpectation', onExpectation)) response.writeHead(417).end()
  })
  server.on('checkContinue', onContinue)
  server.on('checkExpectation', onExpectation)
  return () => {
    server.off('checkContinue', onContinue)
    server.off('checkExpectation', onExpectation)
  }
}

/**
 * Returns true if this listener must do what Node does without one. Of several instances or copies of this package the first does it; a
 * listener of the user's takes precedence.
 */
function standsInForNode (server: Server, event: string, own: (...args: never[]) => void): boolean {
  const listeners = server.listeners(event)
  return listeners[0] === own && listeners.every(isGuard)
}

/** Continues a request as Node does, except behind an unfinished response: Node would write the `100` into its body. */
function continueRequest (server: Server, request: IncomingMessage, response: ServerResponse): void {
  if (response.socket !== null) response.writeContinue()
  else response.once('socket', continueInTurn)
  server.emit('request', request, response)
}

function continueInTurn (this: ServerResponse): void {
  if (!isHeadWritten(this)) this.writeContinue()
}
