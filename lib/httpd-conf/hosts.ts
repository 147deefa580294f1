/** Virtual hosts: finds the host for each name, as httpd decides it and as one server for all of its ports can. */
import type { Entry } from './entries.ts'
import type { Balancer, Server } from './model.ts'
import { shorten, type Notes } from './notes.ts'
import type { Site } from './site.ts'

/** A virtual host with its table. */
export interface Host {
  readonly server: Server
  readonly entries: readonly Entry[]
  readonly balancers: ReadonlyMap<string, Balancer>
  /** True if its clients use TLS. */
  readonly secure: boolean
  /** The name patterns, with `*` and `?`, in lower case, without those that another host has. */
  readonly names: Set<string>
}

export function hostOf ({ server, balancers }: Site, entries: readonly Entry[], notes: Notes): Host {
  const names = new Set<string>()
  for (const text of [server.serverName ?? '', ...server.names]) {
    const name = text.replace(/^[a-z]+:\/\//i, '').replace(/:\d+$/, '').replace(/\.$/, '').toLowerCase()
    if (/\.(?::\d+)?$/.test(text)) {
      notes.check(server, `httpd never finds ${shorten(text)}, since it removes the dot from what clients send; here the name matches`)
    }
    if (/^(?:[\w.*?-]+|\[[0-9a-f:.]+\])$/.test(name)) names.add(name)
    else if (name !== '') notes.error(server, `not translated: the name ${shorten(text)}`)
  }
  return { server, entries, balancers, names, secure: server.secure || server.addresses.some((address) => address.endsWith(':443')) }
}

/** Returns the addresses of a server: `_default_` is another word for `*`. */
function addressesOf ({ addresses }: Server): string[] {
  return addresses.map((address) => address.toLowerCase().replace(/^_default_(?=:|$)/, '*'))
}

/** Returns the hosts, those with TLS first: they get the names that both of two addresses have, by a wildcard too. */
export function inOrder (hosts: readonly Host[]): Host[] {
  return [...hosts.filter(({ secure }) => secure), ...hosts.filter(({ secure }) => !secure)]
}

/** Notes names that httpd leads elsewhere on another address, if no host there has them. Call it before names are shared out. */
export function noteOtherAddresses (hosts: readonly Host[], isEqual: (a: Host, b: Host) => boolean, notes: Notes): void {
  const byAddress = new Map<string, { first: Host, names: Set<string> }>()
  for (const host of hosts) {
    for (const address of addressesOf(host.server)) {
      const known = byAddress.get(address) ?? { first: host, names: new Set() }
      for (const name of host.names) known.names.add(name)
      byAddress.set(address, known)
    }
  }
  for (const host of hosts.filter(({ entries }) => entries.length > 0)) {
    const own = addressesOf(host.server)
    for (const [address, { first, names }] of byAddress) {
      const missing = [...host.names].find((name) => !names.has(name))
      if (own.includes(address) || missing === undefined || isEqual(host, first)) continue
      notes.check(
        host.server,
        `in httpd another virtual host serves ${shorten(missing)} on ${shorten(address)}, such as that of line ${first.server.line}; here this one does`
      )
      break
    }
  }
}

/** Leaves each name to one host: to the first of an address; of two addresses, to the one with TLS. */
export function shareNames (hosts: readonly Host[], isEqual: (a: Host, b: Host) => boolean, notes: Notes): void {
  const owners = new Map<string, Host>()
  for (const host of hosts) {
    for (const name of [...host.names]) {
      const owner = owners.get(name)
      if (owner === undefined || owner === host) {
        owners.set(name, host)
        continue
      }
      const sameAddress = addressesOf(host.server).some((address) => addressesOf(owner.server).includes(address))
      const winner = !sameAddress && host.secure && !owner.secure ? host : owner
      const loser = winner === host ? owner : host
      loser.names.delete(name)
      owners.set(name, winner)
      if (sameAddress) notes.check(host.server, `has no effect for ${shorten(name)}: the virtual host in line ${owner.server.line} has this name`)
      else if (!isEqual(host, owner)) {
        notes.check(loser.server, `not translated for ${shorten(name)}: ` +
          `the virtual host of line ${winner.server.line} has this name on another address, differs from this one, and serves it here`)
      }
    }
  }
}

/** Returns the host for unknown names: the first of the addresses with TLS, else the first. */
export function defaultHost (hosts: readonly Host[], isEqual: (a: Host, b: Host) => boolean, notes: Notes): Host | undefined {
  const firsts = new Set<Host>()
  const addresses = new Set<string>()
  for (const host of hosts) {
    for (const address of addressesOf(host.server)) {
      if (addresses.has(address)) continue
      addresses.add(address)
      firsts.add(host)
    }
    if (host.server.addresses.length === 0) firsts.add(host)
  }
  const chosen = [...firsts].find(({ secure }) => secure) ?? [...firsts][0]
  if (chosen === undefined) return undefined
  notes.info(chosen.server, 'also serves every host that no virtual host names, as httpd does with the first one of an address')
  for (const host of firsts) {
    if (host !== chosen && !isEqual(host, chosen)) {
      notes.check(
        host.server,
        `in httpd it also serves all other hosts on ${shorten(host.server.addresses.join(' '))}; here the virtual host of line ${chosen.server.line} does`
      )
    }
  }
  for (const host of hosts) {
    if (host.names.size === 0 && !firsts.has(host) && host.server.serverName === undefined) {
      notes.check(host.server, 'has no effect: it has no ServerName, and is not the first of its address')
    }
  }
  return chosen
}

/**
 * Returns a host's names as an expression for the Host header: in any case, with or without a port. As in httpd, an earlier host gets the
 * names that both match by a wildcard.
 */
export function namesExpression (host: Host, earlier: readonly Host[]): RegExp {
  const isWild = (name: string): boolean => /[*?]/.test(name)
  const anyWild = [...host.names].some(isWild)
  const taken = earlier.flatMap(({ names }) => [...names]).filter((name) => anyWild || isWild(name))
  return new RegExp(`^${exclusion(taken)}(?:${alternatives([...host.names])})\\.?(?::\\d+)?$`, 'i')
}

/** Returns an expression for every host except these; `undefined` if it would match all. */
export function otherNamesExpression (hosts: readonly Host[]): RegExp | undefined {
  const names = hosts.flatMap(({ names }) => [...names])
  return names.length === 0 ? undefined : new RegExp(`^${exclusion(names)}`, 'i')
}

function exclusion (names: readonly string[]): string {
  return names.length === 0 ? '' : `(?!(?:${alternatives(names)})\\.?(?::\\d+)?$)`
}

function alternatives (names: readonly string[]): string {
  return names.map((name) => name.replace(/[.[\]]/g, '\\$&').replaceAll('*', '[^/]*').replaceAll('?', '[^/]')).join('|')
}
