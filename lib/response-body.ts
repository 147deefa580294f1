/** A response's body on its way to the client. */
import { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import { ClientGoneError, ignoreErrors } from './errors.ts'

/** The reader's pace is the upstream's. */
export class ResponseBody extends Readable {
  readonly #controller: Dispatcher.DispatchController

  constructor (controller: Dispatcher.DispatchController) {
    super()
    this.#controller = controller
    ignoreErrors(this) // an asynchronous onSend hook may be at work before Fastify listens
  }

  override _read (): void {
    if (this.#controller.paused) this.#controller.resume()
  }

  override _destroy (error: Error | null, callback: (error: Error | null) => void): void {
    if (!this.readableEnded) this.#controller.abort(error ?? new ClientGoneError())
    callback(error)
  }
}
