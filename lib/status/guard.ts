/**
 * The guard of actions: it accepts only requests from the status page. A browser also sends a user's credentials with requests from other
 * pages: httpd's balancer-manager was open to that until it had a nonce (CVE-2007-6421) and a check of the referrer (CVE-2019-10092).
 */
import { randomBytes, timingSafeEqual } from 'node:crypto'
import type { FastifyRequest } from 'fastify'

/** The header field with the nonce. A form cannot set it, and a script of another origin needs a preflight request first. */
export const nonceField = 'x-wstunnel-nonce'

/** Returns a nonce for this process and this registration. */
export function newNonce (): string {
  return randomBytes(18).toString('base64url')
}

/** Returns the reason to refuse a request; `undefined` for a request of the status page. */
export function whyForeign (request: FastifyRequest, nonce: string): string | undefined {
  const { origin, 'sec-fetch-site': site, [nonceField]: given } = request.headers
  // Browsers omit it over plain HTTP, except for localhost.
  if (site !== undefined && site !== 'same-origin') return 'Sec-Fetch-Site is not same-origin'
  if (origin === undefined || hostOf(origin) !== request.host.toLowerCase()) return 'Origin is not this server'
  if (typeof given !== 'string' || !equals(given, nonce)) return 'the nonce is missing or old: load the page again'
  return undefined
}

/** Returns the host and port of an origin, in the form of the Host field. */
function hostOf (origin: string): string | undefined {
  return /^https?:\/\/([^/?#@\s]+)$/i.exec(origin)?.[1]?.toLowerCase()
}

function equals (a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}
