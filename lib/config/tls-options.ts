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

const pemOptions = ['ca', 'cert', 'key', 'crl'] as const

/** Text that is no PEM is most likely the path of a file. Of `ca` Node takes anything, and then trusts nobody. */
function pemFaults (tls: TlsOptions | undefined): Array<readonly [name: string, finding: string]> {
  return pemOptions.flatMap((name) => {
    const value: unknown = tls?.[name]
    const wrong = (Array.isArray(value) ? value : [value]).find((item): item is string => typeof item === 'string' && !item.includes('-----BEGIN'))
    if (wrong === undefined) return []
    // It may be a key that has lost its first line.
    const isPath = wrong.length <= 200 && /^[^\n]*\.\w{2,4}$/.test(wrong)
    return [[name, `expected PEM text, got ${isPath ? `'${wrong}': read the file first` : 'text without -----BEGIN: a path? Read the file first'}`] as const]
  })
}

/**
 * What is wrong with TLS options, by path: better now than at every dial.
 * @param at their own path
 */
export function tlsFaults (tls: TlsOptions | undefined, at: string): Array<readonly [path: string, finding: string]> {
  const faults = pemFaults(tls).map(([name, finding]) => [`${at}.${name}`, finding] as const)
  const fault = faults.length > 0 ? undefined : contextFault(tls)
  return fault === undefined ? faults : [[at, fault]]
}

/** What Node says of TLS options that it cannot use. */
function contextFault (tls: TlsOptions | undefined): string | undefined {
  if (tls === undefined) return undefined
  try {
    createSecureContext({ ...tlsDefaults, ...tls })
    return undefined
  } catch (error) {
    return `expected usable TLS options: ${(error as Error).message}`
  }
}
