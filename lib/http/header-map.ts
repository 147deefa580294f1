/** Header fields by name: the form that a user's rewrite functions get. */
import { fieldValue, type HeaderList, isField } from './header-list.ts'
import { isFraming } from './hop-by-hop.ts'

/** Headers by lower-case name, for a user's rewrite function. A repeated field is an array. */
export type HeaderMap = Record<string, string | string[] | undefined>

/** Returns the fields by lower-case name, repeated fields as arrays. The map has no prototype, so that no name is special. */
export function toMap (list: HeaderList): HeaderMap {
  const map: HeaderMap = Object.create(null)
  for (let i = 0; i < list.length; i += 2) {
    const key = (list[i] as string).toLowerCase()
    const value = list[i + 1] as string
    const known = map[key]
    if (known === undefined) map[key] = value
    else if (typeof known === 'string') map[key] = [known, value]
    else known.push(value)
  }
  return map
}

/**
 * Returns the result of a user's rewrite function as a list. The plugin keeps the framing: `Content-Length` stays as it was before. Two
 * names that differ only in case are one field; the last one counts.
 * @throws TypeError if a value is neither a string, a number nor an array of those, or cannot be written
 */
export function fromMap (map: unknown, before: HeaderList = []): string[] {
  // A Promise, a Map or a Headers object would pass for a map without any field.
  const prototype: unknown = typeof map === 'object' && map !== null ? Object.getPrototypeOf(map) : undefined
  if (prototype !== null && prototype !== Object.prototype) throw new TypeError('a rewrite function must return a plain object of headers')
  const fields = new Map<string, string[]>()
  for (const [name, value] of Object.entries(map as HeaderMap)) {
    const key = name.toLowerCase()
    if (isFraming(key)) continue
    const out: string[] = []
    for (const item of Array.isArray(value) ? value : value === undefined ? [] : [value]) {
      const text = typeof item === 'number' ? String(item) : item
      if (!isField(name, text)) throw new TypeError(`invalid header field ${JSON.stringify(name.slice(0, 64))}`)
      out.push(name, text)
    }
    fields.set(key, out)
  }
  const length = fieldValue(before, 'content-length')
  return [...fields.values(), length === undefined ? [] : ['Content-Length', length]].flat()
}
