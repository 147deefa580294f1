type Digit = '0' | '1' | '2' | '3' | '4' | '5' | '6' | '7' | '8' | '9'
type Unit = 'ms' | 's' | 'm' | 'h'

/**
 * A duration: a number of milliseconds, or a string with its unit: `'500ms'`, `'30s'`, `'1.5m'`, `'1h'`. A string without a unit, or with a
 * space before the unit, is an error, in types and at registration. (The type `${number}` would allow the space.)
 */
export type Duration = number | `${bigint}${Unit}` | `${bigint}.${Digit}${bigint | ''}${Unit}`

/** The milliseconds of each unit. A bare numeric string has no unit and is refused: httpd reads `500ms` as 500 s. */
const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** The longest delay that Node's timers take (2³¹ − 1 ms, some 24 days); a longer one would fire at once. */
export const longestDelay: number = 2 ** 31 - 1

/** Returns the duration in milliseconds, or `undefined` if the value is no duration. */
export function parseDuration (value: unknown): number | undefined {
  if (typeof value === 'number') return value >= 0 && value <= longestDelay ? value : undefined
  if (typeof value !== 'string') return undefined
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(value)
  if (match === null) return undefined
  const ms = Number(match[1]) * (units[match[2] as string] as number)
  return ms <= longestDelay ? ms : undefined
}
