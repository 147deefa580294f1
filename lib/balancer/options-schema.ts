/** The schemas of a balancer's options. `balancer/resolve-options` checks what no schema can express. */
import { type TSchema, Type } from '@sinclair/typebox'
import { anything, count, duration, flag, func, hinting, maybe, oneOf, some, strictObject, text } from '../config/schema.ts'
import { forUpstream } from '../config/suggestions.ts'
import { tlsOptionNames } from '../config/tls-options.ts'
import { expectedAddress, isAddress } from '../config/upstream-url.ts'
import { policies } from './policies.ts'

export const expectedStatus = "letters of D, S, I, R, H and N, such as '+H' or 'D-N'"
export const expectedRoute = 'a name of letters, digits and . _ ~ -'

export const connectionTimeouts = ['connectTimeout', 'timeout', 'handshakeTimeout'] as const

const memberDefaults: Record<string, TSchema> = {
  tls: maybe(strictObject(anything(tlsOptionNames), 'an object of TLS options')),
  ...Object.fromEntries(connectionTimeouts.map((name) => [name, duration])),
  loadFactor: maybe(Type.Number({ minimum: 1, maximum: 100, description: 'a number from 1 to 100' })),
  lbSet: maybe(Type.Integer({ minimum: 0, maximum: 99, description: 'a whole number from 0 to 99' })),
  max: maybe(Type.Integer({ minimum: 1, description: 'a whole number of at least 1' })),
  status: text(expectedStatus)
}

const expectedMember = "a member such as { url: 'ws://10.0.0.1:9080' }"

export const memberSchema: TSchema = hinting(strictObject({
  ...memberDefaults,
  url: hinting(Type.Union([Type.String(), Type.Object({})], { description: expectedAddress }), (value) => forUpstream(value, [], isAddress)),
  route: text(expectedRoute),
  redirect: text(expectedRoute)
}, expectedMember), (value) => typeof value === 'string' ? `, did you mean { url: '${value}' }?` : '')

const { loadFactor, lbSet, max, status } = memberDefaults
export const changesSchema: TSchema = strictObject({ loadFactor, lbSet, max, status, redirect: text(expectedRoute) } as Record<string, TSchema>, 'changes')

export const dnsSchema: TSchema = strictObject({
  ...memberDefaults,
  dns: Type.String({ minLength: 1, description: 'a name' }),
  type: oneOf('A', 'AAAA', 'SRV'),
  refresh: duration,
  servers: maybe(Type.Array(Type.String(), { minItems: 1, description: "an array of servers such as '127.0.0.1:53'" })),
  scheme: oneOf('ws', 'wss', 'http', 'https'),
  port: maybe(Type.Integer({ minimum: 1, maximum: 65535, description: 'a port' })),
  path: text("a path such as '/app'")
}, 'members by DNS')

const healthSchema = maybe(strictObject({
  method: oneOf('TCP', 'GET', 'HEAD', 'WS'),
  uri: text("a path such as '/health'"),
  interval: duration,
  timeout: duration,
  passes: count,
  fails: count,
  status: maybe(Type.Array(Type.Union([Type.Integer(), Type.String()]), { minItems: 1, description: "an array such as [200, '300-399']" })),
  body: maybe(Type.Unknown())
}, "a health check such as { method: 'GET', uri: '/health' }"))

const stickyCookieSchema = maybe(strictObject({
  path: text('a path'),
  domain: text('a domain'),
  httpOnly: flag,
  secure: flag,
  sameSite: oneOf('lax', 'strict', 'none'),
  maxAge: maybe(Type.Integer({ minimum: 0, description: 'a whole number of seconds' }))
}, 'the attributes of a cookie'))

/** The schema of one balancer. Its members are checked one by one, since only one of two schemas can be right. */
export const balancerSchema: TSchema = strictObject({
  lbMethod: some(`one of ${Object.keys(policies).map((name) => `'${name}'`).join(', ')}, or a function`,
    ...Object.keys(policies).map((name) => Type.Literal(name)), func),
  hashBy: text("'client', 'header:name', 'cookie:name' or 'query:name'"),
  stickySession: text("a cookie's name, or 'COOKIE|parameter'"),
  stickySessionSep: text("one character, or 'Off'"),
  stickyCookie: stickyCookieSchema,
  members: maybe(Type.Unknown()),
  retry: duration,
  failOnStatus: maybe(Type.Array(Type.Integer({ minimum: 200, maximum: 599, description: 'a status from 200 to 599' }), {
    description: 'an array of statuses such as [503]'
  })),
  failOnTimeout: flag,
  maxAttempts: count,
  noFailover: flag,
  forceRecovery: flag,
  healthCheck: healthSchema,
  slowStart: duration,
  random: maybe(func),
  clock: maybe(func)
}, "a balancer such as { members: [{ url: 'ws://10.0.0.1:9080' }] }")

/** The schema of `balancers`: each balancer is checked by itself, with its name in the path of a finding. */
export const balancersSchema: TSchema = maybe(Type.Object({}, { additionalProperties: true, description: 'an object of balancers by name' }))
