import { deferred, within } from '../fixtures/wait.ts'

/** Holds the first who comes, until it is opened; those after it pass. */
export class Gate<T = void> {
  readonly #reached = deferred<T>()
  readonly #opened = deferred()
  #taken = false

  /** For the hook to wait in. */
  async pass (what: T): Promise<void> {
    if (this.#taken) return
    this.#taken = true
    this.#reached.resolve(what)
    await this.#opened.promise
  }

  /** What the first brought. */
  get reached (): Promise<T> {
    return within(this.#reached.promise, 'the hook to be reached')
  }

  open (): void {
    this.#opened.resolve()
  }
}
