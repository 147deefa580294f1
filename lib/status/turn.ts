/** Long work in pieces, none of which blocks the event loop for long. */
import { setImmediate } from 'node:timers/promises'

/** The longest turn in milliseconds; after it, other callbacks run. */
const longestTurn = 4

/** The turns of one piece of work. */
export class Turn {
  #until: number = performance.now() + longestTurn

  /** True if the turn is over. Checked for each item, so that most of them need no promise. */
  get isOver (): boolean {
    return performance.now() >= this.#until
  }

  /** Waits for the next turn. */
  async next (): Promise<void> {
    await setImmediate()
    this.#until = performance.now() + longestTurn
  }
}

/** A queue of work, done in order. */
export class Queue {
  #last: Promise<unknown> = Promise.resolve()

  /** Runs work after all earlier work: two viewers at once cause no longer turns than one. */
  async run<Result> (work: (turn: Turn) => Promise<Result>): Promise<Result> {
    const result = this.#last.then(async () => await work(new Turn()))
    this.#last = result.catch(() => {})
    return await result
  }
}
