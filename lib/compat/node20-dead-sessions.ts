/**
 * Symptom: the tunnels of a client of HTTP/2 that has broken the protocol, such as with DATA on a stream that it never opened, live on after
 * their client has left, for as long as their upstreams like.
 * Versions: Node 20. Node 22 and later destroy such a session.
 * Cause: nghttp2 sends GOAWAY and wants to read and write no more; Node 20 stops reading the connection then, destroys nothing, and hears of
 * neither a FIN nor a reset. A session in this state answers no PING, and nothing else tells it from one that is quiet.
 * Test: test/http2/dead-sessions.test.ts.
 * Remove when: Node 20 is no longer supported.
 */
import type { Http2Server, ServerHttp2Session } from 'node:http2'

/** Milliseconds between two looks. A session that owes an answer for two of these is destroyed. */
const interval = 30_000

/**
 * Destroys the sessions of a server that answer no PING.
 * @returns a function that stops it for sessions that begin then
 */
export function endDeadSessions (server: Http2Server, node: string = process.versions.node): () => void {
  if (Number.parseInt(node) >= 22) return () => {}
  /** The number of looks since the PING that is not answered yet. */
  const sessions = new Map<ServerHttp2Session, number>()
  const onSession = function onWstunnelSession (session: ServerHttp2Session): void {
    sessions.set(session, 0)
    session.once('close', () => sessions.delete(session))
  }
  let stopped = false
  const timer = setInterval(() => {
    for (const [session, looks] of sessions) look(sessions, session, looks)
    if (stopped && sessions.size === 0) clearInterval(timer)
  }, interval).unref()
  server.on('session', onSession)
  return () => {
    stopped = true
    server.off('session', onSession)
    if (sessions.size === 0) clearInterval(timer)
  }
}

function look (sessions: Map<ServerHttp2Session, number>, session: ServerHttp2Session, looks: number): void {
  if (session.destroyed || session.closed) return // Node sends no PING on a session that is closing: its exchanges end, or a drain ends them
  if (looks === 2) return session.destroy()
  sessions.set(session, looks + 1)
  if (looks === 0) session.ping((error) => { if (error === null && sessions.has(session)) sessions.set(session, 0) })
}
