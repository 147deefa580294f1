/** The option `reverse`: maps URLs in an upstream's response headers to the client's side. */
import type { FastifyRequest } from 'fastify'
import type { Target } from '../config/target.ts'
import { type LocationMapping, mapLocation } from '../http/location.ts'
import { parseTarget } from '../http/request-target.ts'
import { type CookieMapping, mapSetCookie } from '../http/set-cookie.ts'
import type { Choice } from '../upstream/upstream.ts'
import { hostOf } from './upstream-request.ts'

/** The source of a response. */
export interface Origin {
  readonly choice: Choice
  /** The number of characters of the client's path that the route's prefix takes. */
  readonly matched: number
}

/** Maps the fields of a flat list that name the upstream, in place. In a list without such fields it reads only the lengths of the names. */
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
