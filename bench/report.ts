/** Medians, and tables of them. */
import type { Contestant } from './contestants.ts'
import type { Medians, Round, Target, Workload } from './workloads.ts'

export interface Result {
  readonly contestant: Contestant
  readonly rounds: readonly Round[]
}

export interface Judged {
  readonly target: Target
  readonly value: number | undefined
  /** `broken`: worse than half of what is to be reached. */
  readonly verdict: 'reached' | 'missed' | 'broken' | 'not measured'
}

function median (values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  return sorted.length % 2 === 1 ? sorted[Math.floor(middle)] as number : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2
}

export function mediansOf (rounds: readonly Round[]): Round {
  const keys = Object.keys(rounds[0] ?? {})
  return Object.fromEntries(keys.map((key) => [key, median(rounds.map((round) => round[key] as number))]))
}

export function judge (workload: Workload, results: readonly Result[]): Judged[] {
  const known = new Map(results.map(({ contestant, rounds }) => [contestant.name, mediansOf(rounds)]))
  const medians: Medians = Object.assign((name: string) => known.get(name), {
    best: (kind: string, key: string) => results.filter(({ contestant }) => contestant.kind === kind)
      .map(({ contestant }) => known.get(contestant.name) as Round)
      .sort((a, b) => (a[key] as number) - (b[key] as number))[0]
  })
  return workload.targets.map((target) => {
    const value = target.value(medians)
    return { target, value, verdict: value === undefined ? 'not measured' : verdict(target, value) }
  })
}

function verdict ({ rule, limit }: Target, value: number): Judged['verdict'] {
  const share = rule === 'at most' ? value / limit : limit / value
  return share <= 1 ? 'reached' : share <= 2 ? 'missed' : 'broken'
}

/** The contestants' medians, and of the first column also the least and the most. */
export function table (workload: Workload, results: readonly Result[]): string {
  const [first] = workload.columns
  const rows = results.map(({ contestant, rounds }) => {
    const medians = mediansOf(rounds)
    const of = (key: string): number[] => rounds.map((round) => round[key] as number)
    return [
      contestant.name,
      ...workload.columns.map(({ key, digits }) => show(medians[key], digits)),
      first === undefined ? '' : `${show(Math.min(...of(first.key)), first.digits)}–${show(Math.max(...of(first.key)), first.digits)}`
    ]
  })
  return align([['', ...workload.columns.map(({ title }) => title), `${first?.title ?? ''}: from–to`], ...rows])
}

export function verdicts (judged: readonly Judged[]): string {
  return judged.map(({ target: { text, rule, limit }, value, verdict }) =>
    `  ${show(value, 2)} ${text}: ${rule} ${limit}, ${verdict}`).join('\n')
}

/** All verdicts, as a table for a README. */
export function summary (report: ReadonlyArray<{ readonly title: string, readonly judged: readonly Judged[] }>): string {
  const rows = report.flatMap(({ title, judged }) => judged.map(({ target: { text, rule, limit }, value, verdict }) =>
    `| ${title} | ${text} | ${rule} ${limit} | ${show(value, 2)} | ${verdict} |`))
  return ['| workload | figure | target | measured | |', '|---|---|---|---|---|', ...rows].join('\n')
}

function show (value: number | undefined, digits: number): string {
  if (value === undefined || Number.isNaN(value)) return '–'
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits })
}

function align (rows: string[][]): string {
  const widths = (rows[0] as string[]).map((_, i) => Math.max(...rows.map((row) => (row[i] as string).length)))
  return rows.map((row) => '  ' + row.map((cell, i) => i === 0 ? cell.padEnd(widths[i] as number) : cell.padStart(widths[i] as number)).join('  ')).join('\n')
}
