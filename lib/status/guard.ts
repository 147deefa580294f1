/**
 * Whether an action comes from our own page. A browser sends a user's credentials with requests that other pages make, too:
 * httpd's balancer-manager was open to that until it had a nonce (CVE-2007-6421) and a check of the referrer (CVE-2019-10092).
 */
import { randomBytes, timingSafeEqual } from 'node:crypto'
import type { FastifyRequest } from 'fastify'

/** The field that carries the nonce. No form can set one, and a script elsewhere would have to ask first. */
export const nonceField = 'x-wstunnel-nonce'

/** Of this process, and of this registration. */
export function newNonce (): string {
  return randomBytes(18).toString('base64url')
}

/** Why a request is refused; `undefined` where it is ours. */
export function whyForeign (request: FastifyRequest, nonce: string): string | undefined {
  const { origin, 'sec-fetch-site': site, [nonceField]: given } = request.headers
  // Browsers leave it out over plain HTTP, but for localhost.
  if (site !== undefined && site !== 'same-origin') return 'Sec-Fetch-Site is not same-origin'
  if (origin === undefined || hostOf(origin) !== request.host.toLowerCase()) return 'Origin is not this server'
  if (typeof given !== 'string' || !equals(given, nonce)) return 'the nonce is missing or old: load the page again'
  return undefined
}

/** Host and port, as the Host field has them. */
function hostOf (origin: string): string | undefined {
  return /^https?:\/\/([^/?#@\s]+)$/i.exec(origin)?.[1]?.toLowerCase()
}

function equals (a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}
