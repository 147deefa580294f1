/** TLS towards an upstream: which options there are, and whether Node can use them. */
import { createSecureContext, type ConnectionOptions } from 'node:tls'

export const tlsOptionNames = [
  'ca', 'cert', 'key', 'pfx', 'passphrase', 'servername', 'rejectUnauthorized', 'checkServerIdentity',
  'ciphers', 'minVersion', 'maxVersion', 'secureContext', 'crl', 'sigalgs', 'ecdhCurve'
] as const

/** TLS towards the upstream, as `tls.connect` takes it. Verification is on by default, and at least TLS 1.2. */
export type TlsOptions = Pick<ConnectionOptions, typeof tlsOptionNames[number]>

/** What holds where nothing else is set, whatever the environment or the process has for a default. */
export const tlsDefaults = { minVersion: 'TLSv1.2', rejectUnauthorized: true } as const

/** What Node says of TLS options that it cannot use: better now than at every dial. */
export function tlsFault (tls: TlsOptions | undefined): string | undefined {
  if (tls === undefined) return undefined
  try {
    createSecureContext({ ...tlsDefaults, ...tls })
    return undefined
  } catch (error) {
    return `expected usable TLS options: ${(error as Error).message}`
  }
}
