/**
 * Workers: httpd keeps the parameters of targets by them. Each has a URL; a request belongs to the worker with the longest URL that the
 * request's URL begins with, as text, whichever ProxyPass line chose the target.
 */
import type { Notes, Place } from './notes.ts'
import type { Parameters } from './parameters.ts'

export interface Worker extends Place {
  readonly url: string
  readonly parameters: Parameters
}

export const noParameters: Parameters = new Map()

/** The maximum number of workers: as many as a server's lines are translated. */
const maxWorkers = 2000

/** The workers of a server, by their URLs. */
export class Workers {
  readonly #byUrl = new Map<string, Worker>()

  /** Adds a target's worker. If a worker has a URL with which the new one begins, the two share it, and the new parameters are ignored. */
  add (url: string, parameters: Parameters, place: Place, notes: Notes): void {
    if (this.#byUrl.size >= maxWorkers) return // the translation also leaves out the lines that would use it
    const shared = this.find(url)
    if (shared === undefined) {
      this.#byUrl.set(url, { ...place, url, parameters })
      return
    }
    const ignored = [...parameters].filter(([key, value]) => shared.parameters.get(key) !== value).map(([key]) => key)
    if (ignored.length > 0) {
      notes.check(
        place,
        `httpd ignores ${ignored.join(', ')} here, and so does this translation: the target begins with that of line ${shared.line}, whose parameters hold`
      )
    }
  }

  /** Sets the parameters of a worker of exactly this URL, as a `<Proxy>` section does. */
  set (url: string, parameters: Parameters, place: Place): void {
    this.#byUrl.set(url, { ...place, url, parameters: new Map([...this.#byUrl.get(url)?.parameters ?? [], ...parameters]) })
  }

  /** Returns the worker of a request for this URL. */
  find (url: string): Worker | undefined {
    for (let end = url.length; end > 0; end--) {
      const found = this.#byUrl.get(url.slice(0, end))
      if (found !== undefined) return found
    }
    return undefined
  }

  [Symbol.iterator] (): IterableIterator<Worker> {
    return this.#byUrl.values()
  }

  /** Merges workers; of two with one URL, the main server's stays. */
  static merged (base: Workers, own: Workers): Workers {
    const both = new Workers()
    for (const worker of [...base, ...own]) if (!both.#byUrl.has(worker.url)) both.#byUrl.set(worker.url, worker)
    return both
  }
}
