/** The connections of one upstream that carry forwards: bounded in number, kept while they rest, waited for in order. */
import { ClosedError, LimitError, toProxyError } from '../errors.ts'
import { dial, type DialOptions } from './connect.ts'
import { type ConnectionOptions, PoolClient } from './pool-client.ts'

export interface PoolOptions extends ConnectionOptions {
  readonly dialOptions: DialOptions
  /** The most connections, those that are being dialled included. */
  readonly maxConnections: number
  /** How long one is waited for where there are as many as may be, in milliseconds; 0 is without end. */
  readonly timeout: number
}

/** Who asks for a connection. One of the two is called, once, unless it leaves before. */
export interface Borrower {
  /** The connection is its own until the exchange that it dispatches there is over. */
  connected (connection: PoolClient): void
  /** @param error a WstunnelError: what the dial failed with, or 503 where the wait was too long */
  unconnected (error: Error): void
}

/** A place in the queue, or a dial. */
export interface Ticket {
  /** Nobody waits any more. Without effect once the borrower was called. */
  cancel (): void
}

export class ConnectionPool {
  readonly #options: PoolOptions
  /** At rest: the last used is the next, so that those beyond the need grow old. */
  readonly #idle: PoolClient[] = []
  readonly #connections: Set<PoolClient> = new Set()
  readonly #dialling: Set<Wait> = new Set()
  /** Only while there are as many connections as may be. */
  readonly #waiting: Set<Wait> = new Set()
  #serving: NodeJS.Immediate | undefined = undefined
  #closed = false

  constructor (options: PoolOptions) {
    this.#options = options
  }

  /** Whether the next request has to wait. */
  get isFull (): boolean {
    return this.#idle.length === 0 && !this.#hasRoom
  }

  get #hasRoom (): boolean {
    return this.#connections.size + this.#dialling.size < this.#options.maxConnections
  }

  /** A connection at rest, if there is one. */
  take (): PoolClient | undefined {
    for (let connection = this.#idle.pop(); connection !== undefined; connection = this.#idle.pop()) {
      if (connection.isOpen) return connection
      this.#discard(connection)
    }
    return undefined
  }

  /**
   * Dials, or waits where there are as many connections as may be.
   * @param unshared a connection that nobody has used before, also where others become free
   */
  wait (borrower: Borrower, unshared: boolean): Ticket {
    const wait = new Wait(borrower, unshared, this)
    if (!this.#hasRoom) this.#makeRoom()
    if (this.#hasRoom) this.#dial(wait)
    else this.#queue(wait)
    return wait
  }

  #makeRoom (): void {
    const oldest = this.#idle.shift()
    if (oldest !== undefined) this.#discard(oldest)
  }

  #queue (wait: Wait): void {
    const { timeout } = this.#options
    this.#waiting.add(wait)
    if (timeout > 0) wait.timer = setTimeout(tooLong, timeout, wait)
  }

  #dial (wait: Wait): void {
    this.#dialling.add(wait)
    try {
      wait.giveUp = dial(this.#options.dialOptions, (error, dialled) => {
        this.#dialling.delete(wait)
        if (dialled !== null) {
          const connection = new PoolClient(this.#options, dialled, this)
          this.#connections.add(connection)
          wait.connected(connection)
          return
        }
        wait.unconnected(toProxyError(error))
        this.#serveSoon()
      })
    } catch (error) { // of arguments that Node refuses
      this.#dialling.delete(wait)
      process.nextTick(() => wait.unconnected(toProxyError(error)))
    }
  }

  /** Not at once: of many clients that leave together one would have a dial begun for the next, and so on. */
  #serveSoon (): void {
    if (this.#waiting.size === 0) return
    this.#serving ??= setImmediate(() => {
      this.#serving = undefined
      this.#serve()
    })
  }

  /** Lets those dial for whom there is room now, in order. */
  #serve (): void {
    for (const wait of this.#waiting) {
      if (!this.#hasRoom) return
      this.#waiting.delete(wait)
      clearTimeout(wait.timer)
      this.#dial(wait)
    }
  }

  /** @internal */
  cancel (wait: Wait): void {
    this.#waiting.delete(wait)
    clearTimeout(wait.timer)
    if (!this.#dialling.delete(wait)) return
    wait.giveUp()
    this.#serveSoon()
  }

  /** @internal An exchange is over, and its connection stands. */
  released (connection: PoolClient): void {
    if (!this.#connections.has(connection)) return
    if (this.#closed || !connection.kept || !connection.isOpen) return this.#discard(connection)
    const [next] = this.#waiting
    if (next === undefined) {
      this.#idle.push(connection)
      return
    }
    if (next.unshared) return this.#discard(connection)
    this.#waiting.delete(next)
    clearTimeout(next.timer)
    next.connected(connection)
  }

  /** @internal A connection has ended. */
  disconnected (connection: PoolClient): void {
    if (!this.#connections.delete(connection)) return
    const at = this.#idle.indexOf(connection)
    if (at !== -1) this.#idle.splice(at, 1)
    this.#serveSoon()
  }

  #discard (connection: PoolClient): void {
    this.disconnected(connection)
    void connection.destroy()
  }

  /** Keeps no connection any more. What is under way ends on its own. */
  close (): void {
    this.#closed = true
    for (const connection of this.#idle.splice(0)) this.#discard(connection)
  }

  /** Ends all of it; forwards that are under way are cut off. */
  async destroy (): Promise<void> {
    this.close()
    clearImmediate(this.#serving)
    for (const wait of [...this.#waiting, ...this.#dialling]) {
      this.cancel(wait)
      wait.unconnected(new ClosedError())
    }
    const connections = [...this.#connections]
    this.#connections.clear()
    await Promise.all(connections.map((connection) => connection.destroy()))
  }
}

class Wait implements Ticket {
  readonly unshared: boolean
  timer: NodeJS.Timeout | undefined = undefined
  giveUp: () => void = nothing
  #borrower: Borrower | undefined
  readonly #pool: ConnectionPool

  constructor (borrower: Borrower, unshared: boolean, pool: ConnectionPool) {
    this.#borrower = borrower
    this.unshared = unshared
    this.#pool = pool
  }

  cancel (): void {
    if (this.#borrower === undefined) return
    this.#borrower = undefined
    this.#pool.cancel(this)
  }

  connected (connection: PoolClient): void {
    const borrower = this.#borrower
    this.#borrower = undefined
    borrower?.connected(connection)
  }

  unconnected (error: Error): void {
    const borrower = this.#borrower
    this.#borrower = undefined
    borrower?.unconnected(error)
  }

  tooLong (): void {
    this.#pool.cancel(this)
    this.unconnected(new LimitError('connections to the upstream'))
  }
}

function tooLong (wait: Wait): void {
  wait.tooLong()
}

function nothing (): void {}
