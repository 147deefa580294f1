/** What a server tells its clients in SETTINGS: that extended CONNECT is taken, how many streams they may have, and how much they may send. */
import type { Http2Server, ServerHttp2Session, Settings } from 'node:http2'
import type { Duplex } from 'node:stream'
import type { Http2Settings } from './options.ts'
import { watchSession } from './sessions.ts'

/** How many applications of a server want it: @fastify/restartable has two for a while. */
const wanted = new WeakMap<object, number>()

/**
 * Announces it to the sessions that begin from now on.
 * @param sessionTimeout milliseconds of quiet after which a session without tunnels ends
 * @returns takes it back for sessions that begin then, where no other application of the server wants it
 */
export function announce (server: Http2Server, { maxConcurrentStreams, streamWindow, sessionWindow }: Http2Settings, sessionTimeout: number): () => void {
  const settings: Settings = { enableConnectProtocol: true, maxConcurrentStreams, initialWindowSize: streamWindow }
  server.updateSettings(settings)
  wanted.set(server, (wanted.get(server) ?? 0) + 1)
  // Node emits both in one turn, first this one. A session gives its connection away as a proxy that refuses to be kept alive.
  let connection: Duplex | undefined
  const onConnection = function onWstunnelConnection (socket: Duplex): void { connection = socket }
  const events = ['connection', 'secureConnection'] as const
  for (const event of events) server.prependListener(event, onConnection)
  const onSession = function onWstunnelSession (session: ServerHttp2Session): void {
    session.setLocalWindowSize(sessionWindow)
    watchSession(session, sessionTimeout, connection)
    connection = undefined
  }
  server.on('session', onSession)
  return () => {
    server.off('session', onSession)
    for (const event of events) server.off(event, onConnection)
    const left = (wanted.get(server) ?? 1) - 1
    wanted.set(server, left)
    if (left === 0) server.updateSettings({ enableConnectProtocol: false })
  }
}

/** Whether a server speaks HTTP/2, whoever has made it. */
export function isHttp2Server (server: object): server is Http2Server {
  return 'updateSettings' in server
}
