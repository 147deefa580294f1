/** An upstream's response headers, led back to where its client is: the option `reverse`. */
import type { FastifyRequest } from 'fastify'
import type { Target } from '../config/target.ts'
import { type LocationMapping, mapLocation } from '../http/location.ts'
import { parseTarget } from '../http/request-target.ts'
import { type CookieMapping, mapSetCookie } from '../http/set-cookie.ts'
import type { Choice } from '../upstream/upstream.ts'
import { hostOf } from './upstream-request.ts'

/** What a response came of. */
export interface Origin {
  readonly choice: Choice
  /** How much of the client's path the route's prefix takes up. */
  readonly matched: number
}

/** Maps the fields of a flat list that name the upstream, in place. Of a list without one, nothing but the names' lengths is read. */
export function leadBack (headers: string[], request: FastifyRequest, target: Target, origin: Origin): void {
  const { reverse } = target
  if (reverse === false) return
  let mapping: (LocationMapping & CookieMapping) | undefined
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string
    if (!isMapped(name)) continue
    mapping ??= mappingOf(request, target, origin)
    const value = headers[i + 1] as string
    if (name.length === 'set-cookie'.length) headers[i + 1] = mapSetCookie(value, mapping, reverse)
    else if (reverse.location !== false) headers[i + 1] = mapLocation(value, mapping)
  }
}

function isMapped (name: string): boolean {
  switch (name.length) {
    case 8: return name.toLowerCase() === 'location'
    case 10: return name.toLowerCase() === 'set-cookie'
    case 16: return name.toLowerCase() === 'content-location'
    default: return false
  }
}

function mappingOf (
  request: FastifyRequest, { preserveHost, reverse, rules }: Target, { choice, matched }: Origin
): LocationMapping & CookieMapping {
  const { host } = request
  return {
    prefix: parseTarget(request.raw.url ?? '', rules)?.path.slice(0, matched) ?? '',
    protocol: request.protocol,
    host,
    ownHosts: preserveHost ? [hostOf(request), host] : [],
    mapsPaths: reverse !== false && reverse.location === true,
    bases: choice.bases
  }
}
