// How an input stands in the corpus: what a long string repeats is written once, with how often.

type Piece = string | [text: string, times: number]

const longEnough = 256

/** Of at most eight characters, at least sixteen times. */
const repetition = /([\s\S]{1,8}?)\1{15,}/g

/** The text of a corpus file. */
export function serialize (entry: unknown): string {
  return JSON.stringify(entry, (_, value: unknown) => typeof value === 'string' && value.length >= longEnough ? abbreviated(value) : value, 1)
}

/** The same value as was serialized. */
export function parse (text: string): unknown {
  return JSON.parse(text, (_, value: unknown) => {
    const pieces = (value as { repeat?: Piece[] } | null)?.repeat
    return Array.isArray(pieces) ? pieces.map((piece) => typeof piece === 'string' ? piece : piece[0].repeat(piece[1])).join('') : value
  })
}

function abbreviated (text: string): string | { repeat: Piece[] } {
  const pieces: Piece[] = []
  let end = 0
  for (const { 0: run, 1: unit = '', index } of text.matchAll(repetition)) {
    if (index > end) pieces.push(text.slice(end, index))
    pieces.push([unit, run.length / unit.length])
    end = index + run.length
  }
  if (end < text.length) pieces.push(text.slice(end))
  return pieces.some((piece) => typeof piece !== 'string') ? { repeat: pieces } : text
}
