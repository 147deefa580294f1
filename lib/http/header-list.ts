/** Header fields as flat lists in latin1 (`[name, value, name, value]`, like `rawHeaders`): reading, checking and writing them. */
import { fieldChar, isToken, trim } from './syntax.ts'

/** A flat list `[name, value, name, value, …]`, as on the wire: it keeps order, case and repeated fields. */
export type HeaderList = readonly string[]

/** Returns the members of a list-based field (RFC 9110, 5.6.1) in lower case, without empty ones. */
export function tokens (value: string): string[] {
  if (!value.includes(',')) { // the usual case
    const token = trim(value).toLowerCase()
    return token === '' ? [] : [token]
  }
  return value.toLowerCase().split(',').map(trim).filter((token) => token !== '')
}

/** Returns true if a request with these headers, as Node joins them, has a body (RFC 9112, 6.3), or bytes that claim to be one. */
export function announcesBody (headers: Readonly<Record<string, string | string[] | undefined>>): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'
}

/** Returns the value of a field, its repetitions joined with commas (RFC 9110, 5.3), or `undefined` if the field is absent. */
export function fieldValue (list: HeaderList, name: string): string | undefined {
  let value: string | undefined
  for (let i = 0; i < list.length; i += 2) {
    const field = list[i] as string
    if (field.length !== name.length || field.toLowerCase() !== name) continue
    value = value === undefined ? list[i + 1] as string : `${value}, ${list[i + 1] as string}`
  }
  return value
}

const fieldContent = new RegExp(`^[${fieldChar}]*$`)

/** Returns true if a name and a value form exactly one header field on the wire, and nothing else. */
export function isField (name: unknown, value: unknown): boolean {
  return typeof name === 'string' && typeof value === 'string' && isToken(name) && fieldContent.test(value)
}

/**
 * Serialises a message head, to be written in latin1. Every head that this server writes itself is made and checked here: nothing that a
 * client, an upstream or a rewrite function supplied can begin a line of its own.
 * @throws TypeError if the start line or a field contains characters that would change its meaning
 */
export function serialise (startLine: string, list: HeaderList): string {
  if (!/^[\x20-\x7e\x80-\xff]+$/.test(startLine)) throw new TypeError('invalid start line')
  let head = `${startLine}\r\n`
  for (let i = 0; i < list.length; i += 2) {
    const name = list[i]
    const value = list[i + 1]
    if (!isField(name, value)) throw new TypeError(`invalid header field ${JSON.stringify(String(name).slice(0, 64))}`)
    head += `${name as string}: ${value as string}\r\n`
  }
  return `${head}\r\n`
}
