/** Asks both the same, and says where they differ. */
import { ask, probesFor, shown } from './requests.ts'
import type { Answer, World } from './world.ts'

export interface Difference {
  request: string
  httpd: string
  ours: string
}

export interface Comparison {
  requests: number
  differences: Difference[]
}

export async function compareWorld (world: World, port: number = world.ours.port): Promise<Comparison> {
  const probes = probesFor(world.text, world.translation)
  const differences: Difference[] = []
  for (const probe of probes) {
    const [httpd, ours] = [await ask(world.httpd.port, probe), await ask(port, probe)]
    if (textOf(httpd) !== textOf(ours)) differences.push({ request: shown(probe), httpd: textOf(httpd), ours: textOf(ours) })
  }
  return { requests: probes.length, differences }
}

/** Who answered, for what path, and the class of the status. */
function textOf ({ status, by }: Answer): string {
  return `${Math.floor(status / 100)}xx ${by}`.trim()
}
