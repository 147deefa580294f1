/** The directives that set how requests are proxied, for a server or a `<Location>`. */
import { readEdit } from './header-edits.ts'
import type { Settings } from './model.ts'
import { shorten, type Notes } from './notes.ts'
import { onOff, timeWithUnit, wholeSeconds } from './parameters.ts'
import type { Node } from './sections.ts'

type Reader = (node: Node, settings: Settings, notes: Notes) => void

/** Returns a reader of a directive with the values `On` and `Off`. */
function flag (set: (settings: Settings, on: boolean) => void): Reader {
  return (node, settings, notes) => {
    const on = onOff(node.words[0])
    if (on === undefined) notes.error(node, `not translated: ${shorten(node.words[0] ?? '')}, expected On or Off`)
    else set(settings, on)
  }
}

function needsFiles (what: string): Reader {
  return (node, _, notes) => notes.error(node, `not translated: give the content of the file as ${what}`)
}

const readers: Readonly<Record<string, Reader>> = {
  proxypreservehost: flag((settings, on) => { settings.preserveHost = on }),
  proxyaddheaders: flag((settings, on) => { settings.addHeaders = on }),
  proxywebsocketfallbacktoproxyhttp: flag((settings, on) => { settings.fallbackToHttp = on }),
  proxywebsocketasync: flag((settings, on) => { settings.async = on }),
  proxywebsocketasyncdelay: (node, settings, notes) => {
    const ms = timeWithUnit(node.words[0] ?? '', 's', node.directive, node, notes)
    if (ms !== undefined) settings.asyncDelayMs = ms
  },
  proxywebsocketidletimeout: (node, settings, notes) => {
    const ms = timeWithUnit(node.words[0] ?? '', 's', node.directive, node, notes)
    if (ms !== undefined) settings.idleTimeoutMs = ms
  },
  proxytimeout: (node, settings, notes) => {
    const seconds = wholeSeconds(node.words[0] ?? '', node.directive, node, notes)
    if (seconds !== undefined) settings.proxyTimeoutSeconds = seconds
  },
  timeout: (node, settings, notes) => {
    const seconds = wholeSeconds(node.words[0] ?? '', node.directive, node, notes)
    if (seconds !== undefined) settings.timeoutSeconds = seconds
  },
  proxyvia: (node, settings, notes) => {
    const value = node.words[0]?.toLowerCase()
    if (value === 'off' || value === 'on' || value === 'full' || value === 'block') settings.via = value
    else notes.error(node, `not translated: ${shorten(value ?? '')}, expected Off, On, Full or Block`)
  },
  requestheader: (node, settings, notes) => {
    const edit = readEdit(node.words, 'request', node, notes)
    if (edit !== undefined) (settings.requestEdits ??= []).push(edit)
  },
  header: (node, settings, notes) => {
    const edit = readEdit(node.words, 'response', node, notes)
    if (edit !== undefined) (settings.responseEdits ??= []).push(edit)
  },
  setenv: (node, settings, notes) => {
    const name = node.words[0]?.toLowerCase()
    if (name === 'proxy-nokeepalive') settings.disableReuse = true
    else if (name === 'force-proxy-request-1.0') notes.check(node, 'not translated: requests to upstreams are always HTTP/1.1 here')
    else notes.info(node, 'has no effect here')
  },
  sslproxyengine: flag((settings, on) => { settings.tlsEngine = on }),
  sslproxyverify: (node, settings, notes) => {
    const value = node.words[0]?.toLowerCase()
    if (value === 'none') notes.check(node, 'the certificates of upstreams are not verified; remove tls.rejectUnauthorized if they can be')
    if (value === 'none' || value === 'require') settings.tlsVerify = value
    else notes.error(node, `not translated: ${shorten(value ?? '')}; certificates are verified`)
  },
  sslproxycheckpeername: flag((settings, on) => { settings.tlsCheckName = on }),
  sslproxycheckpeercn: flag((settings, on) => { settings.tlsCheckCn = on }),
  sslproxycheckpeerexpire: flag((settings, on) => { settings.tlsCheckExpiry = on }),
  sslproxycacertificatefile: needsFiles('tls.ca'),
  sslproxycacertificatepath: needsFiles('tls.ca'),
  sslproxycarevocationfile: needsFiles('tls.crl'),
  sslproxymachinecertificatefile: needsFiles('tls.cert and tls.key'),
  sslproxymachinecertificatepath: needsFiles('tls.cert and tls.key'),
  sslproxyciphersuite: (node, _, notes) => notes.check(node, "not translated: Node's own list of ciphers is used; see tls.ciphers"),
  sslproxyprotocol: (node, settings, notes) => {
    if (node.words.some((word) => /^\+?tlsv1\.3$/i.test(word)) && node.words.length === 1) settings.tlsMinVersion = 'TLSv1.3'
    else notes.info(node, 'TLS 1.2 or later is used towards upstreams')
  }
}

export function isSetting ({ name }: Node): boolean {
  return Object.hasOwn(readers, name)
}

/** Reads a directive. Returns true if it was one of these. */
export function readSetting (node: Node, settings: Settings, notes: Notes): boolean {
  const reader = Object.hasOwn(readers, node.name) ? readers[node.name] : undefined
  reader?.(node, settings, notes)
  return reader !== undefined
}

/** Returns the settings of a place within another: single values replace the outer ones, edits of headers are appended. */
export function mergeSettings (outer: Settings, inner: Settings): Settings {
  const merged = { ...outer, ...inner }
  if (outer.requestEdits !== undefined) merged.requestEdits = [...outer.requestEdits, ...inner.requestEdits ?? []]
  if (outer.responseEdits !== undefined) merged.responseEdits = [...outer.responseEdits, ...inner.responseEdits ?? []]
  return merged
}
