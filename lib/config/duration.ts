/** A number of milliseconds, or a string with its unit: `'500ms'`, `'30s'`, `'5m'`, `'1h'`. */
export type Duration = number | string

/** Milliseconds in each unit. A bare numeric string has no unit and is refused: httpd takes `500ms` for 500 s. */
const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** The longest delay that Node's timers take (2³¹ − 1 ms, some 24 days); a longer one would fire at once. */
const longest = 2 ** 31 - 1

/** Milliseconds, or `undefined` where the value is no duration. */
export function parseDuration (value: unknown): number | undefined {
  if (typeof value === 'number') return value >= 0 && value <= longest ? value : undefined
  if (typeof value !== 'string') return undefined
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(value)
  if (match === null) return undefined
  const ms = Number(match[1]) * (units[match[2] as string] as number)
  return ms <= longest ? ms : undefined
}
