import { Socket } from 'node:net'

export function meetShapes (): void {
  const shapes = [{ handle: undefined }, { host: '' }, { port: 0 }, { path: '' }, { readable: true }, { writable: true }]
  for (let i = 0; i < 20; i++) for (const shape of shapes) new Socket(shape).destroy()
}
meetShapes()
