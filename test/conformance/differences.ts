import type { Scenario } from './table.ts'

export const differences: Readonly<Record<string, Pick<Scenario, 'differs' | 'ours' | 'todo'>>> = {}
