/** What a translation has to say about the lines it read. */

/** `error`: not translated. `check`: translated, but look at it. `info`: nothing to do. */
export type NoteLevel = 'error' | 'check' | 'info'

/** What is said of one line. */
export interface HttpdNote {
  /** Counted from 1. */
  readonly line: number
  /** `error`: not translated. `check`: translated, but look at it. `info`: nothing to do. */
  readonly level: NoteLevel
  /** The directive, as it was written. */
  readonly directive: string
  /** A sentence for who reads the configuration. */
  readonly text: string
}

/** Where a note belongs. */
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

  /** In the order of the lines. */
  sorted (): HttpdNote[] {
    return [...this.#notes.values()].sort((a, b) => a.line - b.line)
  }

  #add (level: NoteLevel, { line, directive }: Place, text: string): void {
    const key = `${line} ${level} ${text}`
    if (!this.#notes.has(key)) this.#notes.set(key, { line, level, directive: shorten(directive), text })
  }
}

/** A value as a note shows it: printable, and of bounded length. */
export function shorten (text: string): string {
  const shown = text.length > 80 ? `${text.slice(0, 77)}...` : text
  return shown.replace(/[^\x20-\x7e]/g, '?')
}
