/** How deliberate differences are written down: by row, so that what several scenarios show stands there once. */
import type { Scenario } from './table.ts'

/** By the scenario's name. */
export type Differences = Readonly<Record<string, Pick<Scenario, 'differs' | 'ours'>>>

interface Group {
  readonly ours: readonly string[]
  readonly scenarios: readonly string[]
}

/** @throws Error where two groups name the same scenario */
export function byScenario (rows: Readonly<Record<string, readonly Group[]>>): Differences {
  const found = new Map<string, Pick<Scenario, 'differs' | 'ours'>>()
  for (const [differs, groups] of Object.entries(rows)) {
    for (const { ours, scenarios } of groups) {
      for (const name of scenarios) {
        if (found.has(name)) throw new Error(`'${name}' differs twice`)
        found.set(name, { differs, ours })
      }
    }
  }
  return Object.fromEntries(found)
}
