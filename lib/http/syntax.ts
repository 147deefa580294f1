/** The characters of HTTP, for the expressions that read heads. */

/** RFC 9110, 5.6.2: the characters of a token, for a class of a regular expression. */
export const tchar: string = "!#$%&'*+\\-.^_`|~0-9A-Za-z"

/** RFC 9110, 5.5: those of a field's value, obs-text included; no control characters, so no line of its own. */
export const fieldChar: string = '\\t\\x20-\\x7e\\x80-\\xff'

/** The blank line behind a head's last field. */
export const endOfHead: Buffer = Buffer.from('\r\n\r\n')

const token = new RegExp(`^[${tchar}]+$`)

export function isToken (value: string): boolean {
  return token.test(value)
}
