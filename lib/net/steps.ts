/** Work in steps, as a generator: done at once, or over several turns of the event loop. */
import { setImmediate } from 'node:timers/promises'

/** The longest turn in milliseconds; after it, other callbacks run. */
const longestTurn = 4

/** Runs all steps at once. */
export function finish<Result> (steps: Generator<undefined, Result>): Result {
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
  }
}

/** Runs some steps in each turn of the event loop. */
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
