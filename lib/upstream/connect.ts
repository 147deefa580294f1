/** Dials an upstream: TCP or a unix socket, and TLS over it. Every connection to an upstream is made here. */
import { closeSync, openSync } from 'node:fs'
import { connect, isIP, type NetConnectOpts, type OnReadOpts, type Socket } from 'node:net'
import { devNull } from 'node:os'
import type { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import { tlsDefaults, type TlsOptions } from '../config/tls-options.ts'
import type { Address } from '../config/upstream-url.ts'
import { ClosedError, NameError, ShortageError, timedOut, TlsError, toProxyError } from '../errors.ts'
import { outsideRequests } from '../net/async-context.ts'
import { OnReadReader } from '../net/onread-reader.ts'
import { ignoreErrors } from '../net/socket.ts'

/** The address to dial, and the options of the connection. */
export interface DialOptions {
  readonly address: Address
  readonly tls: TlsOptions
  /** The milliseconds that the dial may take, TLS included; 0 is no limit. */
  readonly connectTimeout: number
  /** The idle milliseconds before TCP keep-alive probes; 0 is off. */
  readonly keepAlive: number
}

/** The high-water mark of a stream, in bytes. With Node 20's default, a quarter of it, a stream would stop and start reading at every chunk. */
const highWaterMark = 65_536

/** A connection to an upstream. */
export interface UpstreamConnection {
  /** The stream to read and write. */
  readonly stream: Duplex
  /** The TCP or unix socket under the stream. Without TLS it is the stream itself. */
  readonly transport: Socket
}

/**
 * Dials, outside of any request's context: the connection may outlive the request. Calls back once, also outside of it, with an error or
 * with a connection that is ready for writing (for TLS: verified).
 * @param tunnelled true for a tunnel: its bytes need not go through a stream, and keep-alive is enabled only once the tunnel lives
 * @param callerTimeout the milliseconds after which the caller gives up by itself: a `connectTimeout` of that length or more needs no timer
 * @returns a function that gives up the dial: no callback follows
 */
export function dial (
  options: DialOptions, callback: (error: Error | null, dialled: UpstreamConnection | null) => void, tunnelled = false, callerTimeout: number = Infinity
): () => void {
  const { address, connectTimeout } = options
  const keepAlive = tunnelled ? 0 : options.keepAlive
  const transport = tunnelled && !address.secure ? outsideRequests(connectDirectly, address) : outsideRequests(connectStream, address, keepAlive)
  // TLS runs over a socket that this function dialled, so that the socket can be reset: a TLS stream cannot.
  let stream: Duplex
  try {
    stream = address.secure ? outsideRequests(startTls, options, transport) : transport
  } catch (cause) {
    discard({ stream: transport, transport })
    const soon = setImmediate(callback, new TlsError({ cause }), null)
    return () => clearImmediate(soon)
  }
  const ready = address.secure ? 'secureConnect' : 'connect'
  const timer = connectTimeout > 0 && connectTimeout < callerTimeout ? setTimeout(() => finish(timedOut('connectTimeout')), connectTimeout) : undefined

  let connected = false
  const onConnect = (): void => { connected = true }
  const onReady = (): void => finish(null)
  // Once TCP is connected, every failure before the TLS handshake completes counts as TLS's, a plain close included.
  const onError = (cause: Error): void => finish(address.secure && connected ? new TlsError({ cause }) : dialError(cause))
  const onClose = (): void => finish(address.secure ? new TlsError() : new ClosedError())
  const release = (): void => {
    clearTimeout(timer)
    transport.off('connect', onConnect)
    stream.off(ready, onReady)
    stream.off('error', onError)
    stream.off('close', onClose)
  }
  const finish = (error: Error | null): void => {
    release()
    if (error === null) return callback(null, { stream, transport })
    discard({ stream, transport })
    callback(error, null)
  }
  if (address.secure) transport.on('connect', onConnect)
  stream.on(ready, onReady)
  stream.on('error', onError)
  stream.on('close', onClose)
  return () => {
    release()
    discard({ stream, transport })
  }
}

function dialError (cause: Error): Error {
  const error = toProxyError(cause)
  // Without descriptors for its files and sockets, the system's resolver reports that the name does not exist.
  return error instanceof NameError && !canOpen(resolverFiles) ? new ShortageError({ cause }) : error
}

/** The number of descriptors that one lookup may need: a file, and a socket for each name server. */
const resolverFiles = 4

function canOpen (count: number): boolean {
  const open: number[] = []
  try {
    while (open.length < count) open.push(openSync(devNull, 'r'))
    return true
  } catch {
    return false
  } finally {
    for (const descriptor of open) closeSync(descriptor)
  }
}

function connectDirectly (address: Address): Socket {
  const intake = new OnReadReader()
  return intake.serve(connect(connectOptions(address, 0, intake.onread)))
}

function connectStream (address: Address, keepAlive: number): Socket {
  return connect(connectOptions(address, keepAlive, undefined))
}

function connectOptions (address: Address, keepAlive: number, onread: OnReadOpts | undefined): NetConnectOpts {
  const options: object = { // no spread: it would take longer than the rest of this function
    host: address.hostname,
    port: address.port,
    path: address.socketPath,
    highWaterMark,
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: keepAlive > 0,
    keepAliveInitialDelay: keepAlive,
    onread
  }
  return options as NetConnectOpts
}

function startTls ({ address, tls }: DialOptions, transport: Socket): Duplex {
  // SNI and the check of the certificate use the upstream's own name, never the client's Host (RFC 6066, 3: no addresses).
  const servername = tls.servername ?? (isIP(address.hostname) === 0 ? address.hostname : '')
  const secure = connectTls({ ...tlsDefaults, ...tls, host: address.hostname, servername, socket: transport })
  secure.allowHalfOpen = true
  // A transport that fails before TLS begins does not report that to the stream over it.
  transport.once('error', onTransportError.bind(secure))
  return secure
}

function onTransportError (this: Duplex, error: Error): void {
  this.destroy(error)
}

/**
 * Returns true if an ended connection was reset. Node reports a reset that arrives together with data as an end, but the socket then has no
 * peer any more. Call it at the connection's end, before any other property of the peer is read. A regular end that a reset followed before
 * Node read it looks the same: a whole response that counts as cut off does less harm than the opposite.
 */
export function wasReset ({ localAddress, remoteAddress }: Socket): boolean {
  return remoteAddress === undefined && localAddress !== undefined // a unix socket has neither address
}

/** Destroys a connection that is not needed, and ignores its later errors. */
export function discard ({ stream, transport }: UpstreamConnection): void {
  ignoreErrors(stream)
  if (transport !== stream) ignoreErrors(transport)
  stream.destroy()
  transport.destroy()
}
