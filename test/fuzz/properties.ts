// What the fuzzers check. Every generated value is plain data: it can be kept in the corpus as JSON.
import fc from 'fast-check'
import { boundsProperties } from './bounds.ts'
import { frontProperty } from './front-http2.ts'
import { anyCase, validCase } from './grammar.ts'
import { World, type Case } from './play.ts'
import * as pure from './pure.ts'

export interface Property<T = unknown> {
  readonly name: string
  readonly arbitrary: fc.Arbitrary<T>
  /** @throws what is wrong */
  readonly check: (value: T) => void | Promise<void>
  /** How many cases one value is. */
  readonly count: (value: T) => number
  /** Parts of the time. */
  readonly share: number
}

const batch = (each: fc.Arbitrary<Case>): fc.Arbitrary<Case[]> => fc.array(each, { minLength: 1, maxLength: 16, size: 'max' })

export function properties (world: World): Property[] {
  const wire = (name: string, arbitrary: fc.Arbitrary<Case>, share: number): Property<Case[]> => (
    { name, arbitrary: batch(arbitrary), share, count: (cases) => cases.length, check: (cases) => world.play(cases) }
  )
  return [
    wire('wire', anyCase, 12),
    wire('wire, all valid', validCase, 4),
    ...boundsProperties(world.bounds).map((property) => ({ ...property, share: 1, count: () => 1 })),
    { ...frontProperty(world.bounds), share: 2, count: () => 1 },
    ...Object.entries(pure.properties).map(([name, { arbitrary, check }]) => ({ name, arbitrary, check, share: 1, count: () => 1 }))
  ] as Property[]
}
