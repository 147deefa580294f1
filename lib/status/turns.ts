/** Work in steps, one piece of work after the other, and never for long in one turn of the event loop. */
import { setImmediate } from 'node:timers/promises'

/** Milliseconds of work before others have their turn. */
const longestTurn = 4

export class Turns {
  #last: Promise<unknown> = Promise.resolve()

  /** Begins when all earlier work is done: two viewers at once take no longer turns than one. */
  async run<Result> (work: () => Promise<Result>): Promise<Result> {
    const result = this.#last.then(work)
    this.#last = result.catch(() => {})
    return await result
  }
}

/** Does some steps in each turn. */
export async function finishInTurns<Result> (steps: Generator<undefined, Result>): Promise<Result> {
  for (;;) {
    const until = performance.now() + longestTurn
    do {
      const step = steps.next()
      if (step.done === true) return step.value
    } while (performance.now() < until)
    await setImmediate()
  }
}
