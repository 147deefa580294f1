/** The connections of one upstream that carry forwards: bounded in number, kept while idle, and given to waiting forwards in order. */
import { ClosedError, LimitError, toProxyError } from '../errors.ts'
import { dial, type DialOptions } from './connect.ts'
import { type ConnectionOptions, PoolClient } from './pool-client.ts'

export interface PoolOptions extends ConnectionOptions {
  readonly dialOptions: DialOptions
  /** The maximum number of connections, dials in flight included. */
  readonly maxConnections: number
  /** The milliseconds that a forward waits for a connection if the pool is full; 0 is no limit. */
  readonly timeout: number
}

/** A caller that needs a connection. The pool calls one of the two, once, unless the caller cancels first. */
export interface Borrower {
  /** Called with a connection. It belongs to the borrower until the exchange that it dispatches there has ended. */
  connected (connection: PoolClient): void
  /**
   * Called if there is no connection.
   * @param error a WstunnelError: the error of the dial, or a 503 after too long a wait
   */
  unconnected (error: Error): void
}

/** A place in the queue, or a dial in flight. */
export interface Ticket {
  /** Gives the place up. Without effect once the borrower was called. */
  cancel (): void
}

export class ConnectionPool {
  readonly #options: PoolOptions
  /** The idle connections. The last used is the next to be used, so that connections beyond the need grow old. */
  readonly #idle: PoolClient[] = []
  readonly #connections: Set<PoolClient> = new Set()
  readonly #dialling: Set<Wait> = new Set()
  /** The waiting borrowers; while there are some, the pool is full, or is about to serve the first. */
  readonly #waiting: Set<Wait> = new Set()
  #serving: NodeJS.Immediate | undefined = undefined
  #closed = false

  constructor (options: PoolOptions) {
    this.#options = options
  }

  /** True if the next request has to wait. */
  get isFull (): boolean {
    return this.#idle.length === 0 && !this.#isReady
  }

  get #hasRoom (): boolean {
    return this.#connections.size + this.#dialling.size < this.#options.maxConnections
  }

  /** True if a borrower may dial at once: there is room, and nobody waits for it. */
  get #isReady (): boolean {
    return this.#waiting.size === 0 && this.#hasRoom
  }

  /** Returns an idle connection, if there is one. */
  take (): PoolClient | undefined {
    for (let connection = this.#idle.pop(); connection !== undefined; connection = this.#idle.pop()) {
      if (connection.isOpen) return connection
      this.#discard(connection)
    }
    return undefined
  }

  /**
   * Dials, or waits if the pool is full.
   * @param unshared demands a new connection, even if others become idle
   */
  wait (borrower: Borrower, unshared: boolean): Ticket {
    const wait = new Wait(borrower, unshared, this)
    if (!this.#hasRoom) this.#makeRoom()
    if (this.#isReady) this.#dial(wait)
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
    } catch (error) { // Node throws for arguments that it refuses
      this.#dialling.delete(wait)
      process.nextTick(() => wait.unconnected(toProxyError(error)))
    }
  }

  /** Serves the queue, but not at once: if many clients left together, each would otherwise begin a dial for the next. */
  #serveSoon (): void {
    if (this.#waiting.size === 0) return
    this.#serving ??= setImmediate(() => {
      this.#serving = undefined
      this.#serve()
    })
  }

  /** Dials for waiting borrowers, in order, while there is room. */
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

  /** @internal Called when an exchange has ended and its connection is still open. */
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

  /** @internal Called when a connection has ended. */
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

  /** Closes idle connections, and each other one after its exchange. */
  close (): void {
    this.#closed = true
    for (const connection of this.#idle.splice(0)) this.#discard(connection)
  }

  /** Destroys all connections; forwards in flight are cut off. */
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
