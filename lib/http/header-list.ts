/** Header fields as flat lists (`[name, value, name, value]`, like `rawHeaders`), in latin1: read, checked and written. */
import { fieldChar, isToken } from './syntax.ts'

/** `[name, value, name, value, …]`, as on the wire: order, case and repeated fields kept. */
export type HeaderList = readonly string[]

/** The members of a list-based field (RFC 9110, 5.6.1), in lower case, empty ones left out. */
export function tokens (value: string): string[] {
  if (!value.includes(',')) { // as nearly always
    const token = value.trim().toLowerCase()
    return token === '' ? [] : [token]
  }
  return value.toLowerCase().split(',').map((token) => token.trim()).filter((token) => token !== '')
}

/** Whether a request with these headers, as Node joins them, has a body (RFC 9112, 6.3), or bytes that claim to be one. */
export function announcesBody (headers: Readonly<Record<string, string | string[] | undefined>>): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'
}

/** The value of a field, its repetitions joined as RFC 9110, 5.3 has it; `undefined` where it is absent. */
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

/** Whether a name and a value can be written as one header field and as nothing else. */
export function isField (name: unknown, value: unknown): boolean {
  return typeof name === 'string' && typeof value === 'string' && isToken(name) && fieldContent.test(value)
}

/**
 * A message head as bytes. Every head that we write ourselves is made here, and checked here: nothing that a client, an
 * upstream or a rewrite function supplied can begin a line of its own.
 * @throws TypeError for a start line or a field that cannot be written as what it is.
 */
export function serialise (startLine: string, list: HeaderList): Buffer {
  if (!/^[\x20-\x7e\x80-\xff]+$/.test(startLine)) throw new TypeError('invalid start line')
  let head = `${startLine}\r\n`
  for (let i = 0; i < list.length; i += 2) {
    const name = list[i]
    const value = list[i + 1]
    if (!isField(name, value)) throw new TypeError(`invalid header field ${JSON.stringify(String(name).slice(0, 64))}`)
    head += `${name as string}: ${value as string}\r\n`
  }
  return Buffer.from(`${head}\r\n`, 'latin1')
}
