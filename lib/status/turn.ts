/** Long work, one piece after the other, and never for long in one turn of the event loop. */
import { setImmediate } from 'node:timers/promises'

/** Milliseconds of work before others have their turn. */
const longestTurn = 4

/** The turns of one piece of work. */
export class Turn {
  #until: number = performance.now() + longestTurn

  /** Whether others are to have theirs. Asked for each item, so that most of them need no promise. */
  get isOver (): boolean {
    return performance.now() >= this.#until
  }

  /** Gives way; the work goes on in the next one. */
  async next (): Promise<void> {
    await setImmediate()
    this.#until = performance.now() + longestTurn
  }
}

/** Pieces of work, in order. */
export class Queue {
  #last: Promise<unknown> = Promise.resolve()

  /** Begins when all earlier work is done: two viewers at once take no longer turns than one. */
  async run<Result> (work: (turn: Turn) => Promise<Result>): Promise<Result> {
    const result = this.#last.then(async () => await work(new Turn()))
    this.#last = result.catch(() => {})
    return await result
  }
}
