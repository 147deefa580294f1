/** The TLS options of an upstream, and the check that Node can use them. */
import { createSecureContext, type ConnectionOptions } from 'node:tls'

export const tlsOptionNames = [
  'ca', 'cert', 'key', 'pfx', 'passphrase', 'servername', 'rejectUnauthorized', 'checkServerIdentity',
  'ciphers', 'minVersion', 'maxVersion', 'secureContext', 'crl', 'sigalgs', 'ecdhCurve'
] as const

/** The options of TLS to the upstream, as `tls.connect` takes them. Verification is on by default, and the minimum is TLS 1.2. */
export type TlsOptions = Pick<ConnectionOptions, typeof tlsOptionNames[number]>

/** The defaults, whatever the environment or the process sets. */
export const tlsDefaults = { minVersion: 'TLSv1.2', rejectUnauthorized: true } as const

const pemOptions = ['ca', 'cert', 'key', 'crl'] as const

/**
 * Returns the faults of PEM texts. A text that is no PEM is most likely the path of a file. For `ca`, Node takes any text, and then trusts
 * no certificate.
 */
function pemFaults (tls: TlsOptions | undefined): Array<readonly [name: string, finding: string]> {
  return pemOptions.flatMap((name) => {
    const value: unknown = tls?.[name]
    const wrong = (Array.isArray(value) ? value : [value]).find((item): item is string => typeof item === 'string' && !item.includes('-----BEGIN'))
    if (wrong === undefined) return []
    // The text may also be a key that has lost its first line.
    const isPath = wrong.length <= 200 && /^[^\n]*\.\w{2,4}$/.test(wrong)
    return [[name, `expected PEM text, got ${isPath ? `'${wrong}': read the file first` : 'text without -----BEGIN: a path? Read the file first'}`] as const]
  })
}

/**
 * Returns the faults of TLS options, by path: found at registration instead of at every dial.
 * @param at the path of the TLS options
 */
export function tlsFaults (tls: TlsOptions | undefined, at: string): Array<readonly [path: string, finding: string]> {
  const faults = pemFaults(tls).map(([name, finding]) => [`${at}.${name}`, finding] as const)
  const fault = faults.length > 0 ? undefined : contextFault(tls)
  return fault === undefined ? faults : [[at, fault]]
}

/** Returns Node's error for TLS options that it cannot use. */
function contextFault (tls: TlsOptions | undefined): string | undefined {
  if (tls === undefined) return undefined
  try {
    createSecureContext({ ...tlsDefaults, ...tls })
    return undefined
  } catch (error) {
    return `expected usable TLS options: ${(error as Error).message}`
  }
}
