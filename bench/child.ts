/** Processes of our own that are asked by message, and answer. */
import { fork, type ChildProcess } from 'node:child_process'

type Functions = Record<string, (...args: never[]) => unknown>
type Message = { readonly id: number, readonly name: string, readonly args: unknown[] }
type Answer = { readonly id: number, readonly value?: unknown, readonly error?: string }

/** In the child: calls what it is asked for. */
export function serve (functions: Functions): void {
  process.on('message', ({ id, name, args }: Message) => {
    const run = async (): Promise<unknown> => await (functions[name] as (...args: unknown[]) => unknown)(...args)
    run().then(
      (value) => process.send?.({ id, value }),
      (error: Error) => process.send?.({ id, error: error.stack ?? String(error) })
    )
  })
  process.on('disconnect', () => process.exit())
}

/** In the parent. */
export class Child {
  readonly process: ChildProcess
  readonly #waiting: Map<number, { resolve: (value: unknown) => void, reject: (error: Error) => void }> = new Map()
  #id = 0

  constructor (file: string, node: string) {
    this.process = fork(file, { execPath: node, execArgv: ['--import', 'tsx'], env: { ...process.env, NODE_ENV: 'production' } })
    this.process.on('message', ({ id, value, error }: Answer) => {
      const waiting = this.#waiting.get(id)
      this.#waiting.delete(id)
      if (error === undefined) waiting?.resolve(value)
      else waiting?.reject(new Error(error))
    })
    this.process.on('exit', (code, signal) => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`${file} ended with ${signal ?? code}`))
    })
  }

  get pid (): number {
    return this.process.pid as number
  }

  async ask<T> (name: string, ...args: unknown[]): Promise<T> {
    const id = ++this.#id
    return await new Promise<T>((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as (value: unknown) => void, reject })
      this.process.send({ id, name, args })
    })
  }

  stop (): void {
    this.process.kill('SIGKILL')
  }
}
