/** Dials an upstream: TCP or a unix socket, and TLS over it. The only place where a connection is made. */
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

/** What to dial, and how. */
export interface DialOptions {
  readonly address: Address
  readonly tls: TlsOptions
  /** Milliseconds, TLS included; 0 is none. */
  readonly connectTimeout: number
  /** Milliseconds of TCP keep-alive; 0 is off. */
  readonly keepAlive: number
}

/** What a stream may buffer: Node 20's default, a quarter of it, would stop and start reading at every chunk. */
const highWaterMark = 65_536

/** A connection to an upstream. */
export interface UpstreamConnection {
  /** What to speak on. */
  readonly stream: Duplex
  /** The TCP or unix socket under it: the same, but for TLS. */
  readonly transport: Socket
}

/**
 * Dials, outside of any request's context: the connection may outlive the request. Calls back once, from outside as well, with a connection that is ready to be written to (for TLS: verified), or an error.
 * @param tunnelled for a tunnel: what is read need not go through a stream, and keep-alive is asked for once the tunnel lives
 * @param callerTimeout milliseconds after which the caller gives up by itself: a `connectTimeout` as long as that needs no timer
 * @returns gives up: nothing is called back after that
 */
export function dial (
  options: DialOptions, callback: (error: Error | null, dialled: UpstreamConnection | null) => void, tunnelled = false, callerTimeout: number = Infinity
): () => void {
  const { address, connectTimeout } = options
  const keepAlive = tunnelled ? 0 : options.keepAlive
  const transport = tunnelled && !address.secure ? outsideRequests(connectDirectly, address) : outsideRequests(connectStream, address, keepAlive)
  // TLS goes over a socket that we dialled, so that the socket can be reset: a TLS stream cannot.
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
  // Once TCP stands, whatever breaks before TLS does is TLS's fault: also a plain close.
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
  // Without descriptors for its files and sockets, the system's resolver says that there is no such name.
  return error instanceof NameError && !canOpen(resolverFiles) ? new ShortageError({ cause }) : error
}

/** How many descriptors a look-up may need at a time: a file, and a socket for each name server. */
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
  const options: object = { // without a spread, which takes longer than the rest of this function
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
  // SNI and the name check go by the upstream's own name, never by the client's Host (RFC 6066, 3: no addresses).
  const servername = tls.servername ?? (isIP(address.hostname) === 0 ? address.hostname : '')
  const secure = connectTls({ ...tlsDefaults, ...tls, host: address.hostname, servername, socket: transport })
  secure.allowHalfOpen = true
  // A transport that fails before TLS begins does not tell the stream over it.
  transport.once('error', onTransportError.bind(secure))
  return secure
}

function onTransportError (this: Duplex, error: Error): void {
  this.destroy(error)
}

/**
 * Whether a connection that has ended was reset. Of a reset that comes together with data Node tells as of an end; that
 * there is no peer any more still shows. To be asked at its end, before anything else was asked of the peer. An end that was
 * a regular one, but which a reset has followed before it was read, looks the same: better a whole response that passes for
 * cut off than the other way about.
 */
export function wasReset ({ localAddress, remoteAddress }: Socket): boolean {
  return remoteAddress === undefined && localAddress !== undefined // a unix socket has neither
}

/** Destroys a connection that nobody wants, whatever still becomes of it. */
export function discard ({ stream, transport }: UpstreamConnection): void {
  ignoreErrors(stream)
  if (transport !== stream) ignoreErrors(transport)
  stream.destroy()
  transport.destroy()
}
