/** The schema of the options, with the expectations that error messages name. */
import { type TSchema, Type } from '@sinclair/typebox'
import { balancersSchema } from '../balancer/options-schema.ts'
import { anyObject, anything, count, duration, flag, func, hinting, hook, maybe, oneOf, some, strictObject, text } from '../config/schema.ts'
import { forUpgrade, forUpstream } from '../config/suggestions.ts'
import { tlsOptionNames } from '../config/tls-options.ts'
import { expectedUpstream, isUpstream } from '../config/upstream-url.ts'
import { http2Schema } from '../http2/options.ts'
import { durationDefaults, limitDefaults } from './option-defaults.ts'

export const expectedMethods = 'methods that Node parses, in upper case, but not CONNECT and TRACE'

export const expectedUpgrade = "a protocol token, a list of them, 'ANY' or 'NONE'"

const expectedReverse = 'true, false or an object of location, cookiePath and cookieDomain'

export const reverseSchema: TSchema = strictObject({
  location: some("true, false or 'absolute'", Type.Boolean(), Type.Literal('absolute')),
  cookiePath: flag,
  cookieDomain: flag
}, expectedReverse)

export const expectedTarget: string = `${expectedUpstream}, a function, or false`

export const expectedOrigin = "an origin such as 'https://app.example'"

const limitSchemas: Record<string, TSchema> = {
  ...Object.fromEntries(Object.keys(limitDefaults).map((name) => [name, count])),
  maxResponseHead: maybe(Type.Integer({ minimum: 1, description: 'a whole number of at least 1' })) // no head is empty, and undici throws
}

export const common: Record<string, TSchema> = {
  // Of objects, only a URL is an upstream; a schema cannot express that.
  upstream: hinting(
    some(expectedTarget, Type.String(), func, Type.Literal(false as unknown as string), Type.Object({})),
    (value) => forUpstream(value, [], isUpstream)
  ),
  methods: maybe(Type.Array(Type.String(), { minItems: 1, description: expectedMethods })),
  upgrade: hinting(some(expectedUpgrade, Type.String(), Type.Array(Type.String())), forUpgrade),
  fallbackToHttp: flag,
  async: flag,
  ...Object.fromEntries(Object.keys(durationDefaults).map((name) => [name, duration])),
  preserveHost: flag,
  reverse: some(expectedReverse, Type.Boolean(), Type.Object({}, { additionalProperties: true })),
  forwarded: oneOf('x-forwarded', 'forwarded', 'both', false),
  via: oneOf('off', 'on', 'full', 'block'),
  rewriteRequestHeaders: maybe(func),
  rewriteHeaders: maybe(func),
  tls: maybe(strictObject(anything(tlsOptionNames), 'an object of TLS options')),
  allowedOrigins: maybe(Type.Array(Type.String({ description: expectedOrigin }), { description: "an array of origins such as 'https://app.example'" })),
  limits: maybe(strictObject(limitSchemas, 'an object of limits')),
  disableReuse: flag,
  tracing: maybe(Type.Unknown()),
  constraints: anyObject('an object of route constraints'),
  config: anyObject('an object'),
  logLevel: text('a log level'),
  logSerializers: anyObject('an object of serializers'),
  onRequest: hook,
  preValidation: hook,
  preHandler: hook,
  onTunnelOpen: maybe(func),
  onTunnelClose: maybe(func),
  path: text("a path prefix such as '/ws/'")
}

export const topOnly: Record<string, TSchema> = {
  prefix: text("a path prefix such as '/ws'"),
  drainTimeout: duration,
  balancers: balancersSchema,
  http2: http2Schema,
  healthPath: text("a path such as '/health'"),
  routes: maybe(Type.Array(strictObject(common, 'an object'), { description: 'an array of routes' }))
}

const topLimits: TSchema = maybe(strictObject({ ...limitSchemas, store: maybe(Type.Unknown()) }, 'an object of limits'))

export const schema: TSchema = strictObject({ ...common, limits: topLimits, ...topOnly }, 'an object')

/** Options that only balancers have. */
const balancerOnly = ['members', 'lbMethod', 'hashBy', 'stickySession', 'stickyCookie', 'failOnStatus', 'maxAttempts', 'healthCheck', 'slowStart']

/** The place to which each option belongs, for the message about an option in another place. */
export const places: Readonly<Record<string, string>> = {
  ...Object.fromEntries(Object.keys(topOnly).map((name) => [name, 'at the top'])),
  ...Object.fromEntries(Object.keys(limitDefaults).map((name) => [name, 'in limits'])),
  ...Object.fromEntries(tlsOptionNames.map((name) => [name, 'in tls'])),
  store: 'in limits at the top',
  ...Object.fromEntries(balancerOnly.map((name) => [name, 'in balancers']))
}
