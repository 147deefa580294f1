/** Prints a translation as the source of an equivalent Fastify plugin. */
import { quote } from './header-edits.ts'
import { statementsOf } from './header-functions.ts'
import type { HttpdNote } from './notes.ts'
import { originOf, type HttpdTranslation } from './translate.ts'

/**
 * Prints an ES module whose default export is a Fastify plugin. A comment at each entry names its lines.
 * @param more.status the path of the status page in the module; without it there is none
 */
export function toModule ({ registrations, notes, listen, filename = 'httpd.conf' }: HttpdTranslation, { status }: { status?: string } = {}): string {
  const lines = [
    `// Translated from ${oneLine(filename)} by fastify-wstunnel: to be read, kept and edited.`,
    ...listen.map(({ host, port }) => `// httpd listens on ${oneLine(host ?? '*')}:${port}.`),
    ...notes.map(noteLine),
    "import wstunnel from 'fastify-wstunnel'",
    ...status === undefined ? [] : ["import status from 'fastify-wstunnel/status'"],
    '',
    "/** @param {import('fastify').FastifyInstance} app */",
    'export default async function fromHttpd (app) {'
  ]
  for (const { options, line } of registrations) {
    if (registrations.length > 1) lines.push(`  // From line ${line}.`)
    lines.push(`  await app.register(wstunnel, ${print(options, '  ', undefined)})`)
  }
  if (status !== undefined) lines.push(`  await app.register(status, { prefix: ${quote(status)} })`)
  return `${[...lines, '}'].join('\n')}\n`
}

function noteLine ({ line, level, directive, text }: HttpdNote): string {
  return oneLine(`// ${level}, line ${line}${directive === '' ? '' : `, ${directive}`}: ${text}`)
}

function oneLine (text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?')
}

function print (value: unknown, indent: string, key: string | undefined): string {
  if (typeof value === 'string') return quote(value)
  if (typeof value === 'function') return printFunction(value, indent, key)
  if (value instanceof RegExp) return String(value)
  if (typeof value !== 'object' || value === null) return String(value)
  const deeper = `${indent}  `
  if (Array.isArray(value)) {
    const items = value.map((item: unknown) => `${comment(item, deeper)}${deeper}${print(item, deeper, undefined)}`)
    return value.every((item) => typeof item !== 'object')
      ? `[${value.map((item) => print(item, indent, undefined)).join(', ')}]`
      : `[\n${items.join(',\n')}\n${indent}]`
  }
  const fields = Object.entries(value).map(([name, part]) => `${/^[a-z_$][\w$]*$/i.test(name) ? name : quote(name)}: ${print(part, deeper, name)}`)
  const short = `{ ${fields.join(', ')} }`
  if (fields.length === 0) return '{}'
  return short.length < 120 && !short.includes('\n') ? short : `{\n${fields.map((field) => deeper + field).join(',\n')}\n${indent}}`
}

/** Returns the comment with the lines of an entry. */
function comment (item: unknown, indent: string): string {
  const lines = typeof item === 'object' && item !== null ? originOf(item) : []
  return lines.length === 0 ? '' : `${indent}// ${lines.length === 1 ? 'line' : 'lines'} ${lines.join(', ')}\n`
}

function printFunction (made: object, indent: string, key: string | undefined): string {
  const statements = [...statementsOf(made) ?? [], 'return headers'].map((statement) => `${indent}  ${statement}`)
  const parameters = key === 'rewriteHeaders' ? '(headers)' : '(request, headers)'
  return `${parameters} => {\n${statements.join('\n')}\n${indent}}`
}
