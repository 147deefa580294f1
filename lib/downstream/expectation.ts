/** `Expect`: what Node answers by itself where nobody listens, done so that the turns of a connection are kept. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { keepResponse } from './pipelining.ts'
import { guard, isGuard, isHeadWritten } from './upgrade-response.ts'

/** @returns takes the listeners off */
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
 * Whether a listener does what Node does where there is none. Of several instances or copies of this package one does; where there is a listener of the
 * user's own, that one does.
 */
function standsInForNode (server: Server, event: string, own: (...args: never[]) => void): boolean {
  const listeners = server.listeners(event)
  return listeners[0] === own && listeners.every(isGuard)
}

/** What Node does by itself, but for a response behind one that is not finished: it would put the `100` into its body. */
function continueRequest (server: Server, request: IncomingMessage, response: ServerResponse): void {
  if (response.socket !== null) response.writeContinue()
  else response.once('socket', continueInTurn)
  server.emit('request', request, response)
}

function continueInTurn (this: ServerResponse): void {
  if (!isHeadWritten(this)) this.writeContinue()
}
