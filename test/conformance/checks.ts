/** What has to hold of the scenarios and of the document of differences before anything is played. */
import type { Scenario } from './table.ts'

/** One line of a table of the document. */
export interface Row {
  /** What httpd does, as it stands there. */
  text: string
  /** Names of rows: scenarios say that they prove them. */
  names: readonly string[]
  /** Tests that prove it: their title, and their file from the root of the repository. */
  tests: ReadonlyArray<{ title: string, file: string }>
}

export function rowsOf (document: string): Row[] {
  const rows: Row[] = []
  let inTable = false
  for (const line of document.split('\n')) {
    if (!line.startsWith('|')) inTable = false
    else if (/\| scenario \|$/.test(line)) inTable = true
    else if (inTable && !/^\|[-|]+$/.test(line)) {
      const cells = line.slice(1, -1).split(/(?<!\\)\|/).map((cell) => cell.trim())
      const proofs = cells.at(-1) ?? ''
      rows.push({
        text: cells[0] ?? '',
        names: [...proofs.matchAll(/`([^`]+)`/g)].map(([, name]) => name as string),
        tests: [...proofs.matchAll(/\[([^\]]+)\]\(\.\.\/([^)]+)\)/g)].map(([, title, file]) => ({ title: title as string, file: file as string }))
      })
    }
  }
  return rows
}

/**
 * What is wrong: scenarios of one name, rows without proof or with one that does not exist, claims without a row.
 * @param read a file's text, from the root of the repository; `undefined` where there is none
 */
export function check (scenarios: readonly Scenario[], document: string, read: (file: string) => string | undefined): string[] {
  const problems: string[] = []
  const seen = new Set<string>()
  for (const { name } of scenarios) {
    if (seen.has(name)) problems.push(`two scenarios are called '${name}'`)
    seen.add(name)
  }
  const rows = rowsOf(document)
  if (rows.length === 0) problems.push('the document of differences has no rows')
  const claimed = new Set(scenarios.flatMap(({ differs }) => differs ?? []))
  for (const { text, names, tests } of rows) {
    if (names.length + tests.length === 0) problems.push(`nothing proves the row '${text}'`)
    for (const name of names) if (!claimed.has(name)) problems.push(`no scenario proves the row '${text}' (${name})`)
    for (const { title, file } of tests) {
      if (!hasTest(read(file) ?? '', title)) problems.push(`${file} has no test '${title}', which should prove the row '${text}'`)
    }
  }
  const known = new Set(rows.flatMap(({ names }) => names))
  for (const { name, differs } of scenarios) {
    if (differs !== undefined && !known.has(differs)) problems.push(`'${name}' is to prove the row ${differs}, which the document of differences does not have`)
  }
  return problems
}

function hasTest (text: string, title: string): boolean {
  return ["'", '"', '`'].some((quote) => text.includes(`test(${quote}${title}${quote}`))
}
