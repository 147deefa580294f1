/** What the upstreams of TLS tables show, made when it is wanted. */
import type { TlsOptions } from 'node:tls'
import { authority, selfSigned } from '../fixtures/tls.ts'
import type { Authority } from '../fixtures/tls.ts'
import type { TlsTable } from './table.ts'

let made: Authority | undefined

/** The authority that both sides are given, and nobody else knows. */
export function trusted (): Authority {
  made ??= authority('Conformance')
  return made
}

export function serverOptions ({ certificate = 'good', maxVersion = 'TLSv1.2' }: TlsTable): TlsOptions {
  const day = 86_400_000
  const shown = certificate === 'of a stranger'
    ? selfSigned()
    : trusted().issue(
      certificate === 'for another name'
        ? { names: ['other.example'] }
        : certificate === 'expired' ? { notBefore: new Date(Date.now() - 9 * day), notAfter: new Date(Date.now() - day) } : {}
    )
  // OpenSSL offers what is older than 1.2 only where it is told twice.
  return { ...shown, maxVersion, ...(maxVersion === 'TLSv1.1' ? { minVersion: 'TLSv1', ciphers: 'DEFAULT:@SECLEVEL=0' } : {}) }
}
