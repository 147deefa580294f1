/** What the tests of this folder share: one recording upstream behind a plain and a TLS listener, and what a client got. */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { FastifyInstance } from 'fastify'
import { rawClient } from '../fixtures/client.ts'
import type { RawClient } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import type { Proxy, ProxyOptions, ProxySetup } from '../fixtures/proxy.ts'
import type { RawResponse } from '../fixtures/raw.ts'
import { startRecorder } from '../fixtures/recorder.ts'
import type { Recorder } from '../fixtures/recorder.ts'
import { over } from '../fixtures/stage.ts'
import { selfSigned } from '../fixtures/tls.ts'
import { headerOf } from '../fixtures/upstream.ts'

const certificate = selfSigned()

/** The fields of a good WebSocket handshake. */
export const handshake = [
  'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Version: 13'
]

/** A message head from its lines. */
export function head (...lines: string[]): string {
  return `${lines.join('\r\n')}\r\n\r\n`
}

/** A GET with its Host. */
export function get (path: string, ...fields: string[]): string {
  return head(`GET ${path} HTTP/1.1`, 'Host: front.example', ...fields)
}

export interface Listener {
  name: string
  /** The URLs of all requests that Fastify was given, those of `seen` left out. */
  routed: string[]
  proxy: Proxy
  connect: (t: TestContext) => Promise<RawClient>
}

export interface Scene {
  upstream: Recorder
  listeners: Listener[]
  /** What the upstream saw of `act`, connection by connection, once nothing of it can still be on its way. */
  seen: (t: TestContext, act: () => Promise<unknown>) => Promise<string[]>
}

export interface SceneOptions extends ProxySetup {
  /** By default `/ws/` (both kinds), `/raw/` (upgrades only) and `/http/` (no upgrade). */
  options?: (urls: { ws: string, http: string }) => ProxyOptions
}

function everyKind ({ ws, http }: { ws: string, http: string }): ProxyOptions {
  return {
    routes: [
      { path: '/ws/', upstream: `${ws}/ws/` },
      { path: '/raw/', upstream: `${ws}/raw/`, fallbackToHttp: false },
      { path: '/http/', upstream: `${http}/http/` },
      { path: '/any/', upstream: `${http}/any/`, upgrade: 'ANY' }
    ]
  }
}

export async function openScene (t: TestContext, { options = everyKind, fastify, setup, after }: SceneOptions = {}): Promise<Scene> {
  const upstream = await startRecorder(t)
  const own = options({ ws: upstream.url, http: upstream.httpUrl })
  // Beside what a test registers: how it is found out that what went before has arrived.
  const control = `/control-${upstream.port}/`
  const setupAll = async (app: FastifyInstance, routed: string[]): Promise<void> => {
    app.addHook('onRequest', (request, _reply, done) => {
      const url = request.raw.url ?? ''
      if (url !== control) routed.push(url)
      done()
    })
    app.get('/alive', async () => 'alive')
    await setup?.(app)
  }
  const listen = async (name: string, https?: object): Promise<Listener> => {
    const routed: string[] = []
    const proxy = await startProxy(t, { routes: [{ path: control, upstream: `${upstream.url}/control/` }] }, {
      fastify: { ...fastify, ...(https === undefined ? {} : { https: { ...https, ...(fastify as { http?: object } | undefined)?.http } }) },
      setup: async (app) => await setupAll(app, routed),
      after: async (app) => {
        const { default: wstunnel } = await import('../../lib/index.ts')
        await app.register(wstunnel, own)
        await after?.(app)
      }
    })
    return { name, routed, proxy, connect: async (t) => await rawClient(t, proxy.port, https === undefined ? {} : { tls: { ca: certificate.cert } }) }
  }
  const plain = await listen('plain')
  const listeners = [plain, await listen('TLS', { ...certificate })]
  const seen = async (t: TestContext, act: () => Promise<unknown>): Promise<string[]> => {
    upstream.mark()
    await act()
    const script = upstream.script
    upstream.script = undefined
    // A dial that began before this one has arrived before it, through whichever listener.
    const client = await plain.connect(t)
    client.write(get(control, ...handshake))
    assert.equal((await client.response()).status, 101)
    client.destroy()
    upstream.script = script
    return upstream.since().map(({ bytes }) => bytes).filter((bytes) => !bytes.startsWith('GET /control/ '))
  }
  return { upstream, listeners, seen }
}

/** Runs `act` for each listener and each of the cases, as a test of its own. */
export async function everywhere<Case> (
  t: TestContext, scene: Scene, cases: Record<string, Case>, act: (t: TestContext, listener: Listener, value: Case, name: string) => Promise<void>
): Promise<void> {
  for (const listener of scene.listeners) {
    for (const [name, value] of Object.entries(cases)) {
      await t.test(`${name} (${listener.name})`, async (t) => await act(t, listener, value, name))
    }
  }
}

/** Sends bytes, and gives every response back once the proxy has ended the connection. */
export async function answersTo (t: TestContext, listener: Listener, bytes: string | Buffer): Promise<{ client: RawClient, responses: RawResponse[] }> {
  const client = await listener.connect(t)
  client.write(bytes)
  await over(client)
  return { client, responses: await responsesOf(client) }
}

export async function responsesOf (client: RawClient): Promise<RawResponse[]> {
  const responses: RawResponse[] = []
  while (client.unread.length > 0) responses.push(await client.response())
  return responses
}

/** Sends bytes, and gives the one response back after the connection has proved to be good for another exchange. */
export async function answerOnKept (t: TestContext, listener: Listener, bytes: string | Buffer): Promise<RawResponse> {
  const client = await listener.connect(t)
  client.write(bytes)
  const response = await client.response(String(bytes).slice(0, String(bytes).indexOf(' ')))
  client.write(get('/alive'))
  assert.equal(String((await client.response()).body), 'alive', 'the connection is not in step any more')
  return response
}

/** That a response is complete, of our making, and tells nothing that a client must not know. */
export function assertOurs (response: RawResponse, status: number, scene: Scene): void {
  const text = response.rawHead + String(response.body)
  assert.equal(response.status, status, text)
  const { statusCode } = JSON.parse(String(response.body)) as { statusCode: number }
  assert.equal(statusCode, status)
  assert.ok(!text.includes(String(scene.upstream.port)), `the upstream's port is in ${text}`)
  assert.doesNotMatch(text, /127\.0\.0\.1|\.[jt]s\b|node_modules|\n\s+at /)
}

/** That there is exactly one response, complete, with `Connection: close`, and that the connection ended behind it. */
export function assertRefused ({ responses }: { responses: RawResponse[] }, status: number, scene: Scene): void {
  assert.deepEqual(responses.map((response) => response.status), [status])
  const response = responses[0] as RawResponse
  assertOurs(response, status, scene)
  assert.deepEqual(response.headers['connection'], ['close'])
}

/** One refused exchange: what the client got, that the upstream saw nothing of it, and that it was one request and no more. */
export async function refused (t: TestContext, scene: Scene, listener: Listener, bytes: string | Buffer, status: number): Promise<RawResponse> {
  let answers: { responses: RawResponse[] } = { responses: [] }
  const before = listener.routed.length
  const seen = await scene.seen(t, async () => { answers = await answersTo(t, listener, bytes) })
  assertRefused(answers, status, scene)
  assert.ok(listener.routed.length - before <= 1, `${listener.routed.slice(before).join(' and ')} were read as requests`)
  assert.deepEqual(seen, [])
  return answers.responses[0] as RawResponse
}

export { headerOf }
