/** What Linux tells of a process from outside: its CPU time, its memory, its children. */
import { readdirSync, readFileSync } from 'node:fs'

/** Seconds on a CPU, of all threads that live. */
export function cpuSeconds (pid: number): number {
  let nanoseconds = 0
  for (const thread of entries(`/proc/${pid}/task`)) {
    nanoseconds += Number(read(`/proc/${pid}/task/${thread}/schedstat`)?.split(' ')[0] ?? 0)
  }
  return nanoseconds / 1e9
}

/** Proportional set size in KiB: pages shared with other processes count by their share. */
export function pss (pid: number): number {
  return Number(/^Pss:\s+(\d+)/m.exec(read(`/proc/${pid}/smaps_rollup`) ?? '')?.[1] ?? 0)
}

/** The most that it ever had resident, in KiB. */
export function peak (pid: number): number {
  return Number(/^VmHWM:\s+(\d+)/m.exec(read(`/proc/${pid}/status`) ?? '')?.[1] ?? 0)
}

/** A process and all that it has started, and those have. */
export function family (pid: number): number[] {
  const parents = new Map<number, number[]>()
  for (const name of entries('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const stat = read(`/proc/${name}/stat`)
    if (stat === undefined) continue
    const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
    parents.set(parent, [...parents.get(parent) ?? [], Number(name)])
  }
  const found = [pid]
  for (const each of found) found.push(...parents.get(each) ?? [])
  return found
}

function entries (directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch {
    return [] // it has ended
  }
}

function read (file: string): string | undefined {
  try {
    return readFileSync(file, 'latin1')
  } catch {
    return undefined // it has ended
  }
}
