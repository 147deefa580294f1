/** Splits httpd.conf into lines as httpd reads them: continued lines joined, comments left out, words without their quotes. */
import type { Notes } from './notes.ts'

export interface DirectiveLine {
  /** The line on which it begins; counted from 1. */
  readonly line: number
  /** The first word, as written. */
  readonly directive: string
  /** The text after it, not split yet. */
  readonly rest: string
}

/** The maximum length of a line; no person writes a longer one. */
const maxLineLength = 65_536

/** Splits a configuration into lines, in time linear to its length. */
export function readLines (text: string, notes: Notes): DirectiveLine[] {
  const lines: DirectiveLine[] = []
  let line = 0
  for (let at = text.charCodeAt(0) === 0xfeff ? 1 : 0; at < text.length;) {
    const start = ++line
    let parts: string[] | undefined
    let part: string
    for (;;) {
      const newline = text.indexOf('\n', at)
      const end = newline === -1 ? text.length : newline
      part = text.slice(at, end > at && text.charCodeAt(end - 1) === 0x0d ? end - 1 : end)
      at = end + 1
      if (!part.endsWith('\\') || at >= text.length) break
      parts ??= []
      parts.push(part.slice(0, -1))
      line++
    }
    const whole = (parts === undefined ? part : `${parts.join('')}${part}`).trim()
    if (whole === '' || whole.startsWith('#')) continue
    const directive = /^(?:<\/?[^\s>]*>?|\S+)/.exec(whole.slice(0, maxLineLength))?.[0] ?? whole
    const place = { line: start, directive }
    if (whole.length > maxLineLength) notes.error(place, `not translated: longer than ${maxLineLength} characters`)
    else if (whole.includes('\0')) notes.error(place, 'not translated: it contains a NUL')
    else lines.push({ ...place, rest: whole.slice(directive.length).trim() })
  }
  return lines
}

/** Whitespace separates words; quotes keep it, and a backslash in quotes keeps the quote or backslash behind it. */
export function splitWords (text: string): string[] {
  const words: string[] = []
  for (let at = 0; ;) {
    while (at < text.length && isSpace(text.charCodeAt(at))) at++
    if (at >= text.length) return words
    const quote = text[at]
    if (quote === '"' || quote === "'") {
      let word = ''
      let from = ++at
      for (; at < text.length && text[at] !== quote; at++) {
        if (text[at] !== '\\' || (text[at + 1] !== quote && text[at + 1] !== '\\')) continue
        word += text.slice(from, at)
        from = ++at
      }
      words.push(word + text.slice(from, at))
      at++
    } else {
      const from = at
      while (at < text.length && !isSpace(text.charCodeAt(at))) at++
      words.push(text.slice(from, at))
    }
  }
}

function isSpace (code: number): boolean {
  return code === 0x20 || (code >= 0x09 && code <= 0x0d)
}
