/** RequestHeader and Header: their changes, as functions and as the source of these functions. */
import type { CommonOptions, HeaderMap } from '../index.ts'
import { shorten, type Notes, type Place } from './notes.ts'

type Rewrite = NonNullable<CommonOptions['rewriteRequestHeaders']>
type Request = Parameters<Rewrite>[0]

/** One RequestHeader or Header directive. */
export interface HeaderEdit extends Place {
  readonly action: 'set' | 'setifempty' | 'add' | 'append' | 'merge' | 'unset'
  /** The field's name, in lower case. */
  readonly name: string
  readonly value: string | Variable
}

/** A value that comes from the request. */
type Variable = { readonly source: string, readonly of: (request: Request) => string }

const variables: Readonly<Record<string, Variable>> = {
  REMOTE_ADDR: { source: 'request.ip', of: (request) => request.ip },
  HTTP_HOST: { source: 'request.host', of: (request) => request.host },
  REQUEST_SCHEME: { source: 'request.protocol', of: (request) => request.protocol },
  // As in httpd, the port of the client's URL, not that of the socket.
  SERVER_PORT: {
    source: "String(request.port ?? (request.protocol === 'https' ? 443 : 80))",
    of: (request) => String(request.port ?? (request.protocol === 'https' ? 443 : 80))
  }
}

const actions: ReadonlySet<string> = new Set(['set', 'setifempty', 'add', 'append', 'merge', 'unset'])

/** Reads the words of a directive; returns `undefined` if it is refused, or needs nothing. */
export function readEdit (words: readonly string[], side: 'request' | 'response', place: Place, notes: Notes): HeaderEdit | undefined {
  const refuse = (why: string): undefined =>
    notes.error(place, `not translated: ${why}; write it in ${side === 'request' ? 'rewriteRequestHeaders' : 'rewriteHeaders'}`) as undefined
  const [first = '', ...others] = words
  const rest = side === 'response' && /^(always|onsuccess)$/i.test(first) ? others : words
  const [action = '', field = '', text = '', condition] = rest
  const kind = action.toLowerCase()
  if (!actions.has(kind)) return refuse(`the action ${shorten(action)}`)
  const name = field.replace(/:$/, '').toLowerCase()
  if (!/^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name)) return refuse(`the field name ${shorten(field)}`)
  if (/^(host|connection|upgrade|transfer-encoding|content-length|te|trailer)$/.test(name)) return refuse(`a change of ${shorten(field)}`)
  if (kind === 'unset') {
    return text === '' ? { ...place, action: 'unset', name, value: '' } : refuse('a field that is removed on a condition')
  }
  if (condition !== undefined && !/^early$/i.test(condition)) return refuse('a field that is set on a condition')
  const value = valueOf(text)
  if (value === undefined) return refuse(`the value ${shorten(text)}, which is not the same for all requests`)
  if (side === 'response' && typeof value !== 'string') return refuse(`the value ${shorten(text)}`)
  if (typeof value !== 'string' && /e$/.test(text)) {
    notes.check(place, `httpd sends (null) here, since ${shorten(text)} is no environment variable; this translation sends the value that was meant`)
  }
  if (typeof value !== 'string' && name === 'x-forwarded-proto' && value === variables.REQUEST_SCHEME) {
    notes.info(place, 'sent by default; behind another proxy set trustProxy')
    return undefined
  }
  if (side === 'request' && /^x-forwarded-(for|host|server)$/.test(name)) {
    notes.check(place, 'httpd adds its own value behind this one; here this one is sent alone')
  }
  return { ...place, action: kind as HeaderEdit['action'], name, value }
}

/** Returns a value without format specifiers other than `%%`, or one of the variables. */
function valueOf (text: string): string | Variable | undefined {
  const variable = /^(?:expr=%\{(\w+)\}|%\{(\w+)\}[se])$/.exec(text)
  const name = (variable?.[1] ?? variable?.[2] ?? '').toUpperCase()
  if (variable !== null) return Object.hasOwn(variables, name) ? variables[name] : undefined
  const plain = text.replaceAll('%%', '')
  const value = text.replaceAll('%%', '%')
  return /%/.test(plain) || /^expr=/.test(text) || !/^[\t\x20-\x7e]*$/.test(value) ? undefined : value.trim()
}

/** Applies the edits in order. */
export function apply (edits: readonly HeaderEdit[], headers: HeaderMap, request: Request): HeaderMap {
  for (const { action, name, value } of edits) {
    const text = typeof value === 'string' ? value : value.of(request)
    const before = headers[name]
    if (action === 'unset') delete headers[name]
    else if (action === 'set' || (action === 'setifempty' && (before === undefined || before === ''))) headers[name] = text
    else if (action === 'add') headers[name] = before === undefined ? text : [before, text].flat()
    else if (action === 'append') headers[name] = joined(before, text)
    else if (action === 'merge' && !list(before).includes(text)) headers[name] = joined(before, text)
  }
  return headers
}

function joined (before: string | string[] | undefined, text: string): string {
  return before === undefined ? text : [before, text].flat().join(', ')
}

function list (value: string | string[] | undefined): string[] {
  return value === undefined ? [] : [value].flat().join(',').split(',').map((item) => item.trim())
}

/** Returns the statements that do the same. */
export function sourceOf (edits: readonly HeaderEdit[]): string[] {
  return edits.map(statementOf)
}

function statementOf ({ action, name, value }: HeaderEdit): string {
  const field = `headers[${quote(name)}]`
  const text = typeof value === 'string' ? quote(value) : value.source
  const appended = `${field} = ${field} === undefined ? ${text} : [${field}, ${text}].flat().join(', ')`
  switch (action) {
    case 'unset': return `delete ${field}`
    case 'set': return `${field} = ${text}`
    case 'setifempty': return `${field} ||= ${text}`
    case 'add': return `${field} = ${field} === undefined ? ${text} : [${field}, ${text}].flat()`
    case 'append': return appended
    case 'merge': return `if (![${field} ?? []].flat().join(',').split(',').map((item) => item.trim()).includes(${text})) ${appended}`
  }
}

/** Returns a string as a JavaScript literal, in single quotes. */
export function quote (text: string): string {
  const inner = JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")
  return `'${inner.replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029')}'`
}
