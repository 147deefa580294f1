/** The characters of HTTP, for the regular expressions that read heads. */

/** The characters of a token (RFC 9110, 5.6.2), for a character class. */
export const tchar: string = "!#$%&'*+\\-.^_`|~0-9A-Za-z"

/** The characters of a field value (RFC 9110, 5.5), obs-text included: no control characters, so a value cannot begin a new line. */
export const fieldChar: string = '\\t\\x20-\\x7e\\x80-\\xff'

/** The blank line after a head's last field. */
export const endOfHead: Buffer = Buffer.from('\r\n\r\n')

const token = new RegExp(`^[${tchar}]+$`)

export function isToken (value: string): boolean {
  return token.test(value)
}
