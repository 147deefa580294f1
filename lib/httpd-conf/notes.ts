/** The notes of a translation about the lines that it read. */

/** The level of a note. `error`: not translated. `check`: translated, but check it. `info`: nothing to do. */
export type NoteLevel = 'error' | 'check' | 'info'

/** A note about one line. */
export interface HttpdNote {
  /** The number of the line, counted from 1. */
  readonly line: number
  /** The level. `error`: not translated. `check`: translated, but check it. `info`: nothing to do. */
  readonly level: NoteLevel
  /** The directive, as written. */
  readonly directive: string
  /** The text, for the reader of the configuration. */
  readonly text: string
}

/** The place of a note. */
export interface Place {
  readonly line: number
  readonly directive: string
}

/** Collects notes, each once. */
export class Notes {
  readonly #notes = new Map<string, HttpdNote>()

  error (place: Place, text: string): void {
    this.#add('error', place, text)
  }

  check (place: Place, text: string): void {
    this.#add('check', place, text)
  }

  info (place: Place, text: string): void {
    this.#add('info', place, text)
  }

  /** Returns the notes in the order of the lines. */
  sorted (): HttpdNote[] {
    return [...this.#notes.values()].sort((a, b) => a.line - b.line)
  }

  #add (level: NoteLevel, { line, directive }: Place, text: string): void {
    const key = `${line} ${level} ${text}`
    if (!this.#notes.has(key)) this.#notes.set(key, { line, level, directive: shorten(directive), text })
  }
}

/** Returns a value for a note: printable, and of bounded length. */
export function shorten (text: string): string {
  const shown = text.length > 80 ? `${text.slice(0, 77)}...` : text
  return shown.replace(/[^\x20-\x7e]/g, '?')
}
