/**
 * The sessions of a server, and which of them have tunnels. Fastify ends a session that is quiet for `http2SessionTimeout`: its tunnels would live on, or
 * end with it where there is a `connectionTimeout`, and a browser would need another connection for everything else.
 */
import type { Http2Session, ServerHttp2Stream } from 'node:http2'
import type { Duplex } from 'node:stream'

interface Kept {
  /** Tunnels that live. */
  tunnels: number
  /** Milliseconds of the session's own timeout. */
  readonly timeout: number
  readonly connection: Duplex | undefined
}

const sessions = new WeakMap<Http2Session, Kept>()

/** A session begins. @param timeout milliseconds of quiet after which it is to end while it has no tunnel; 0 is none */
export function watchSession (session: Http2Session, timeout: number, connection: Duplex | undefined): void {
  sessions.set(session, { tunnels: 0, timeout, connection })
}

export function connectionOf ({ session }: ServerHttp2Stream): Duplex | undefined {
  return session === undefined ? undefined : sessions.get(session)?.connection
}

/** Takes the timeout off the session of a tunnel for as long as it has any. */
export function keepSession (stream: ServerHttp2Stream): void {
  const { session } = stream
  const kept = session === undefined ? undefined : sessions.get(session)
  if (session === undefined || kept === undefined) return
  if (kept.tunnels++ === 0) session.setTimeout(0)
  stream.once('close', () => releaseSession(session, kept))
}

function releaseSession (session: Http2Session, kept: Kept): void {
  if (--kept.tunnels === 0 && !session.destroyed && !session.closed) session.setTimeout(kept.timeout)
}
