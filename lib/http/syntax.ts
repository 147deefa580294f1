/** The characters of HTTP, for the regular expressions that read heads. */

/** The characters of a token (RFC 9110, 5.6.2), for a character class. */
export const tchar: string = "!#$%&'*+\\-.^_`|~0-9A-Za-z"

/** The characters of a field value (RFC 9110, 5.5), obs-text included: no control characters, so a value cannot begin a new line. */
export const fieldChar: string = '\\t\\x20-\\x7e\\x80-\\xff'

/** The blank line after a head's last field. */
export const endOfHead: Buffer = Buffer.from('\r\n\r\n')

/** Removes optional whitespace: spaces and tabs (RFC 9110, 5.6.3). JavaScript's `trim()` also takes a byte A0, with which a character in UTF-8 may end. */
export function trim (value: string): string {
  let start = 0
  let end = value.length
  while (start < end && isBlank(value.charCodeAt(start))) start++
  while (end > start && isBlank(value.charCodeAt(end - 1))) end--
  return value.slice(start, end)
}

function isBlank (code: number): boolean {
  return code === 0x20 || code === 0x09
}

const token = new RegExp(`^[${tchar}]+$`)

export function isToken (value: string): boolean {
  return token.test(value)
}
