/** Asks httpd and the plugin the same, for each configuration, and says where they differ without having said so. */
import { readdirSync, readFileSync } from 'node:fs'
import { explained } from './explained.ts'
import { ask, probesFor, shown } from './requests.ts'
import { startWorld } from './world.ts'
import type { Answer, World } from './world.ts'

export interface Difference {
  request: string
  httpd: string
  ours: string
}

export interface ConfigurationResult {
  name: string
  requests: number
  differences: Difference[]
  /** What makes it fail. */
  problems: string[]
}

const folders = ['corpus', 'made']

/** The configurations, as `folder/file`. */
export function configurations (): string[] {
  return folders.flatMap((folder) =>
    readdirSync(new URL(`${folder}/`, import.meta.url)).filter((file) => file.endsWith('.conf')).sort().map((file) => `${folder}/${file}`))
}

export function readConfiguration (name: string): string {
  return readFileSync(new URL(name, import.meta.url), 'utf8')
}

/** Serves one configuration on both sides, and compares. */
export async function compareConfiguration (name: string): Promise<ConfigurationResult> {
  const world = await startWorld(readConfiguration(name))
  try {
    const probes = probesFor(world.text, world.translation)
    const differences: Difference[] = []
    const problems = probes.length >= 12 ? [] : [`only ${probes.length} requests`]
    for (const probe of probes) {
      const [httpd, ours, printed] = [
        textOf(await ask(world.httpd.port, probe)), textOf(await ask(world.ours.port, probe)), textOf(await ask(world.printed.port, probe))
      ]
      if (httpd !== ours) differences.push({ request: shown(probe), httpd, ours })
      if (ours !== printed) problems.push(`${shown(probe)}: the printed module answers '${printed}', and not '${ours}'`)
    }
    return { name, requests: probes.length, differences, problems: [...problems, ...silent(name, differences, world)] }
  } finally {
    await world.close()
  }
}

/** Differences that no note speaks of, and explanations that explain nothing. */
function silent (name: string, differences: readonly Difference[], { translation: { notes } }: World): string[] {
  const lines = Object.entries(explained[name] ?? {}).map(([line, requests]) => ({ line: Number(line), requests }))
  const isLoud = (wanted: number): boolean => notes.some(({ line, level }) => line === wanted && level !== 'info')
  return [
    ...differences.filter(({ request }) => !lines.some(({ requests }) => requests.test(request)))
      .map(({ request, httpd, ours }) => `${request}: httpd answers '${httpd}', and we '${ours}'; no line is known to be responsible`),
    ...lines.filter(({ line }) => !isLoud(line)).map(({ line }) => `there is no note of level error or check for line ${line}`),
    ...lines.filter(({ requests }) => !differences.some(({ request }) => requests.test(request))).map(({ line }) => `line ${line} explains no difference`)
  ]
}

/** Who answered, for what path, and the class of the status. */
function textOf ({ status, by }: Answer): string {
  return `${Math.floor(status / 100)}xx ${by}`.trim()
}
