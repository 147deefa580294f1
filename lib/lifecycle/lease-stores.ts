/** The lease stores of one server, and the log lines of their failures. */
import type { FastifyBaseLogger } from 'fastify'
import type { LeaseStore } from '../config/options.ts'
import { logging } from '../config/user-function.ts'
import { Leases } from './leases.ts'

export class LeaseStores {
  readonly #log: FastifyBaseLogger
  readonly #leases: Map<LeaseStore, Leases> = new Map()

  constructor (log: FastifyBaseLogger) {
    this.#log = log
  }

  /** Returns this server's leases in a store. */
  in (store: LeaseStore): Leases {
    const known = this.#leases.get(store)
    if (known !== undefined) return known
    const leases = new Leases(store, (err) => logging(() => {
      if (err === undefined) this.#log.info('the lease store answers again')
      else this.#log.warn({ err }, 'the lease store fails: until it answers, maxTunnelsPerClient counts this instance only')
    }))
    this.#leases.set(store, leases)
    return leases
  }
}
