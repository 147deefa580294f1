/** The report that all viewers share: one snapshot per second, taken on request, and released after that second. */
import type { FastifyInstance } from 'fastify'
import { summaryOf } from './summary.ts'
import { listTunnels, type TunnelQuery } from './tunnel-list.ts'
import { Queue } from './turn.ts'

/** The lifetime of a snapshot in milliseconds. */
const lifetime = 1000

/** The maximum number of different tunnel lists kept in that time. */
const maxLists = 50

interface Kept {
  readonly summary: Promise<string>
  /** The lists by their query. */
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

  /** Returns the whole response, as JSON. */
  async for (query: TunnelQuery): Promise<string> {
    const kept = this.#kept ??= this.#begin()
    const [summary, live] = await Promise.all([kept.summary, this.#list(kept, query)])
    return `{${summary},"live":${live}}`
  }

  /** Drops the snapshot: the next viewer sees a new one. */
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
    if (lists.size < maxLists) lists.set(key, list)
    return list
  }
}
