/** All scenarios. */
import { basic } from './scenarios-basic.ts'
import { offers } from './scenarios-offers.ts'
import type { Scenario } from './table.ts'

export const scenarios: readonly Scenario[] = [...basic, ...offers]
