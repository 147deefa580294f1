/** The deliberate differences of scenarios that no rule explains: by name, the row, and what we do. */
import { differences } from './differences.ts'
import { differencesOfReverse } from './differences-reverse.ts'
import { closedAfterRefusal } from './differences-refused.ts'
import { differencesOfSettings } from './differences-settings.ts'
import type { Scenario } from './table.ts'

/** Gives each scenario its difference, where it has one. */
export function explained (scenarios: readonly Scenario[]): Scenario[] {
  return scenarios.map((scenario) =>
    closedAfterRefusal({ ...scenario, ...differences[scenario.name], ...differencesOfSettings[scenario.name], ...differencesOfReverse[scenario.name] }))
}
