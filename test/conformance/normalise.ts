/**
 * What differs from one run or one server to the next without meaning anything, each by a rule with a name. A rule sees
 * one side's outcome at a time, and the same rules hold for both. A scenario may say that a rule does not hold for it.
 */
import type { Field, Message, Outcome } from './ends.ts'

export interface Side {
  /** Ports of the upstreams and, as `proxy`, of the server itself, by name. */
  ports: Readonly<Record<string, number>>
}

interface Rule {
  why: string
  apply: (outcome: Outcome, side: Side) => void
}

/** Values that only our scripts use: what bears them came from the upstream, and is compared. */
export const upstreamDate = 'Sun, 06 Nov 1994 08:49:37 GMT'
export const upstreamServer = 'upstream/1'
export const fromUpstream = 'X-From: upstream'

const ownAnswer = (message: Message): boolean =>
  Number(message.start.slice(0, 3)) >= 400 && !has(message, 'x-from')

const rules = {
  'upstream-port': {
    why: 'ports are ephemeral: an upstream is shown by its name',
    apply (outcome, { ports }) {
      for (const [name, port] of Object.entries(ports)) {
        const replace = (text: string): string => text.replaceAll(`127.0.0.1:${port}`, `{${name}}`).replaceAll(`localhost:${port}`, `{${name}}`)
        for (const message of [...outcome.responses, ...outcome.requests]) {
          for (const field of message.headers) field[1] = replace(field[1])
        }
      }
    }
  },
  date: {
    why: 'the time; an upstream\'s own Date is fixed in the scripts, and compared',
    apply: (outcome) => drop(outcome.responses, 'date', (value) => value !== upstreamDate)
  },
  server: {
    why: 'httpd names itself; an upstream\'s own Server is compared',
    apply: (outcome) => drop(outcome.responses, 'server', (value) => value !== upstreamServer)
  },
  'error-page': {
    why: 'the words of an answer of the proxy\'s own: httpd writes HTML, Fastify JSON; the status is compared',
    apply (outcome) {
      for (const message of outcome.responses.filter(ownAnswer)) {
        message.start = message.start.slice(0, 3)
        message.body = ''
        drop([message], 'content-type')
        drop([message], 'content-length')
        drop([message], 'expires') // httpd, on an answer of its own instead of one that it had begun
      }
    }
  },
  persistence: {
    why: 'Connection: keep-alive or close and Keep-Alive are for one hop; whether the client\'s connection goes on is tried out',
    apply (outcome) {
      for (const message of [...outcome.responses, ...outcome.requests]) {
        drop([message], 'keep-alive', (value) => /^timeout=\d+(?:, max=\d+)?$/.test(value)) // not those of the scripts
        drop([message], 'connection', (value) => /^(keep-alive|close)$/i.test(value))
        for (const field of message.headers) {
          if (field[0].toLowerCase() === 'connection') field[1] = field[1].replace(/, (?:keep-alive|close)$/i, '')
        }
      }
    }
  },
  framing: {
    why: 'Transfer-Encoding, and a Content-Length that only repeats the size of the body, are for one hop; the body is compared',
    apply (outcome) {
      for (const message of [...outcome.responses, ...outcome.requests]) {
        drop([message], 'transfer-encoding', (value) => value === 'chunked')
        drop([message], 'content-length', (value) => value === String(message.body.length))
      }
    }
  },
  'forwarded-fields': {
    why: 'httpd adds X-Forwarded-Server, we add X-Forwarded-Proto (row forwarded-fields, which has scenarios without this rule)',
    apply (outcome) {
      drop(outcome.requests, 'x-forwarded-server', (value) => value === 'localhost')
      drop(outcome.requests, 'x-forwarded-proto', (value) => value === 'http')
    }
  },
  'field-name-case': {
    why: 'field names are compared without case (RFC 9110, 5.1); Fastify writes them in lower case',
    apply (outcome) {
      for (const message of [...outcome.responses, ...outcome.requests]) {
        for (const field of message.headers) field[0] = field[0].toLowerCase()
      }
    }
  },
  'connection-value-case': {
    why: 'Connection is a list of names without case; httpd and we both write Upgrade, hooks may write upgrade',
    apply (outcome) {
      for (const message of [...outcome.responses, ...outcome.requests]) {
        for (const field of message.headers) if (field[0] === 'connection') field[1] = field[1].toLowerCase()
      }
    }
  },
  'protocol-name-case': {
    why: 'httpd sends the client\'s or the configured spelling, we the canonical one (row canonical-token, which has scenarios without this rule)',
    apply (outcome) {
      for (const message of [...outcome.responses, ...outcome.requests]) {
        for (const field of message.headers) if (field[0] === 'upgrade') field[1] = field[1].toLowerCase()
      }
    }
  },
  'field-order': {
    why: 'the order of fields of different names means nothing (RFC 9110, 5.3); that of one name\'s is kept',
    apply (outcome) {
      for (const message of [...outcome.responses, ...outcome.requests]) {
        message.headers.sort(([a], [b]) => a < b ? -1 : a > b ? 1 : 0)
      }
    }
  }
} satisfies Record<string, Rule>

export type RuleName = keyof typeof rules

export const ruleNames = Object.keys(rules) as RuleName[]

export function normalise (outcome: Outcome, side: Side, except: readonly RuleName[] = []): Outcome {
  const copy = structuredClone(outcome)
  for (const name of ruleNames) if (!except.includes(name)) rules[name].apply(copy, side)
  return copy
}

/** An outcome as lines: what is compared, and what a difference is shown in. */
export function lines (outcome: Outcome): string[] {
  const out: string[] = []
  for (const message of outcome.responses) {
    out.push(`< ${message.start}`, ...fields(message))
    if (message.body !== '') out.push(`  body ${shown(message.body)}`)
  }
  if (outcome.sequence !== undefined) out.push(`< sequence ${outcome.sequence}`)
  if (outcome.tunnel !== '') out.push(`< bytes ${shown(outcome.tunnel)}`)
  out.push(`< ${outcome.end}`, ...outcome.missed.map((what) => `< waited in vain for ${what}`))
  for (const request of outcome.requests) {
    const { upstream: name } = request
    out.push(`${name}> ${request.start.length > 300 ? shown(request.start) : request.start}`)
    if (request.serverName !== undefined) out.push(`  (TLS for ${request.serverName})`)
    out.push(...fields(request))
    if (request.body !== '') out.push(`  body ${shown(request.body)}`)
    if (request.tunnel !== '') out.push(`${name}> bytes ${shown(request.tunnel)}`)
    if (request.end !== undefined) out.push(`${name}> ${request.end}`)
    out.push(...request.missed.map((what) => `${name}> waited in vain for ${what}`))
  }
  if (outcome.logged !== undefined) out.push(`logged as ${outcome.logged}`)
  return out
}

function fields (message: Message): string[] {
  return message.headers.map(([name, value]) => `  ${name}: ${value.length > 300 ? shown(value) : value}`)
}

function shown (text: string): string {
  return text.length > 300 ? `${JSON.stringify(text.slice(0, 100))}… ${text.length} bytes` : JSON.stringify(text)
}

function has (message: Message, wanted: string): boolean {
  return message.headers.some(([name]) => name.toLowerCase() === wanted)
}

function drop (messages: readonly Message[], wanted: string, which: (value: string) => boolean = () => true): void {
  for (const message of messages) {
    message.headers = message.headers.filter(([name, value]: Field) => name.toLowerCase() !== wanted || !which(value))
  }
}
