/** What all viewers are shown: one snapshot for a second, taken when somebody asks, and let go when that second is over. */
import type { FastifyInstance } from 'fastify'
import { summaryOf } from './summary.ts'
import { listTunnels, type TunnelQuery } from './tunnel-list.ts'
import { Queue } from './turn.ts'

/** Milliseconds. */
const lifetime = 1000

/** How many different lists of tunnels are kept for that long. */
const mostLists = 50

interface Kept {
  readonly summary: Promise<string>
  /** By their query. */
  readonly lists: Map<string, Promise<string>>
}

export class Report {
  readonly #app: FastifyInstance
  readonly #queue: Queue = new Queue()
  #kept: Kept | undefined = undefined
  #timer: NodeJS.Timeout | undefined = undefined

  constructor (app: FastifyInstance) {
    this.#app = app
  }

  /** The whole answer, as JSON. */
  async for (query: TunnelQuery): Promise<string> {
    const kept = this.#kept ??= this.#begin()
    const [summary, live] = await Promise.all([kept.summary, this.#list(kept, query)])
    return `{${summary},"live":${live}}`
  }

  /** The next who asks sees what is new. */
  forget (): void {
    clearTimeout(this.#timer)
    this.#kept = undefined
  }

  #begin (): Kept {
    this.#timer = setTimeout(() => this.forget(), lifetime).unref()
    const summary = this.#queue.run(async (turn) => {
      const at = Date.now()
      const snapshot = await this.#app.wstunnel.sampleMetrics()
      await turn.next()
      return await summaryOf(snapshot, at, turn)
    })
    return { summary, lists: new Map() }
  }

  #list ({ lists }: Kept, query: TunnelQuery): Promise<string> {
    const key = JSON.stringify([query.sort, query.client, query.limit])
    const known = lists.get(key)
    if (known !== undefined) return known
    const list = this.#queue.run(async (turn) => await listTunnels(this.#app.wstunnel.tunnels(), query, turn))
    if (lists.size < mostLists) lists.set(key, list)
    return list
  }
}
