// Every input that has once found something, again.
import { readdirSync, readFileSync } from 'node:fs'
import { after, test } from 'node:test'
import { parse } from './corpus-form.ts'
import { World } from './play.ts'
import { properties } from './properties.ts'

interface Entry {
  /** What was wrong. */
  title: string
  /** The name of the property that it broke. */
  property: string
  value: unknown
}

const folder = new URL('corpus/', import.meta.url)
const world = new World()
const all = properties(world)

after(async () => {
  const left = await world.close()
  if (left !== undefined) throw new Error(left)
})

for (const file of readdirSync(folder).filter((name) => name.endsWith('.json')).sort()) {
  const { title, property, value } = parse(readFileSync(new URL(file, folder), 'utf8')) as Entry
  test(`${file}: ${title}`, async () => {
    const known = all.find(({ name }) => name === property)
    if (known === undefined) throw new Error(`there is no property '${property}'`)
    await known.check(value)
  })
}
