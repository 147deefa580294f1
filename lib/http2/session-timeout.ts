/**
 * Sessions with tunnels. Fastify ends a session that is quiet for `http2SessionTimeout`: its tunnels would live on, or end with it where there is a
 * `connectionTimeout`, and a browser would need another connection for everything else.
 */
import type { Http2Session, ServerHttp2Stream } from 'node:http2'

interface Kept {
  /** Tunnels that live. */
  tunnels: number
  /** Milliseconds of the session's own timeout. */
  readonly timeout: number
}

const sessions = new WeakMap<Http2Session, Kept>()

/** A session as it begins. @param timeout milliseconds of quiet after which it is to end while it has no tunnel; 0 is none */
export function watchSession (session: Http2Session, timeout: number): void {
  sessions.set(session, { tunnels: 0, timeout })
}

/** Takes the timeout off the session of a tunnel for as long as it has any. */
export function keepSession (stream: ServerHttp2Stream): void {
  const { session } = stream
  const kept = session === undefined ? undefined : sessions.get(session)
  if (session === undefined || kept === undefined) return
  if (kept.tunnels++ === 0) session.setTimeout(0)
  const release = (): void => {
    if (--kept.tunnels === 0 && !session.destroyed && !session.closed) session.setTimeout(kept.timeout)
  }
  stream.once('close', release)
}
