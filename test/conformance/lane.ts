/** A lane: both servers of one table, each with upstreams of its own, and the scenarios that are played there one by one. */
import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import type { FastifyInstance } from 'fastify'
import wstunnel from '../../lib/index.ts'
import type { WstunnelOptions } from '../../lib/index.ts'
import { recordLog } from '../fixtures/log.ts'
import type { LogRecord } from '../fixtures/log.ts'
import { serverOptions, trusted } from './certificates.ts'
import { located } from './httpd.ts'
import type { Scenario, Table } from './table.ts'
import { Upstreams } from './upstreams.ts'

/** tcpmux and compressnet: ports that are never given away by chance. */
const nobodyListens: Readonly<Record<string, number>> = { refused: 1, gone: 2 }
/** So many scenarios of one table are played in one lane. */
const perLane = 12

export interface Lane {
  table: Table
  scenarios: Scenario[]
  theirs: Upstreams
  ours: Upstreams
  httpdPort: number
  app: FastifyInstance | undefined
  log: LogRecord
}

/** Which scenarios share a lane: those of one table; but a balancer remembers, and so it has its own. */
export function lanesOf (scenarios: readonly Scenario[]): Array<{ table: Table, scenarios: Scenario[] }> {
  const tables = new Map<string, { table: Table, scenarios: Scenario[] }>()
  for (const scenario of scenarios) {
    const key = JSON.stringify(scenario.table) + (scenario.table.balancers === undefined ? '' : scenario.name)
    const known = tables.get(key)
    if (known === undefined) tables.set(key, { table: scenario.table, scenarios: [scenario] })
    else known.scenarios.push(scenario)
  }
  return [...tables.values()].flatMap(({ table, scenarios }) => {
    const count = Math.ceil(scenarios.length / perLane)
    return Array.from({ length: count }, (_, i) => ({ table, scenarios: scenarios.filter((_, at) => at % count === i) }))
  })
}

/** What is opened is in the lane at once, so that it is closed whatever comes. */
export function newLane (table: Table, scenarios: Scenario[]): Lane {
  return { table, scenarios, theirs: new Upstreams(), ours: new Upstreams(), httpdPort: 0, app: undefined, log: recordLog() }
}

export async function openLane (lane: Lane): Promise<void> {
  const { table } = lane
  const urls = [
    ...table.routes.map(({ upstream }) => upstream),
    ...Object.values(table.balancers ?? {}).flatMap(({ members }) => members.map(({ url }) => url))
  ]
  const names = new Map<string, boolean>()
  for (const url of urls) {
    const [, scheme = '', name = ''] = /^(\w+):\/\/(\w+)/.exec(String(url)) ?? []
    if (name !== '' && scheme !== 'balancer') names.set(name, scheme === 'wss' || scheme === 'https')
  }
  for (const side of [lane.theirs, lane.ours]) {
    for (const [name, secure] of names) {
      const closed = nobodyListens[name]
      if (closed !== undefined) side.ports[name] = closed
      else if (name === 'deaf') await side.listenDeaf(name)
      else if (name === 'plain') await side.listenPlain(name)
      else if (name !== 'nowhere') await side.listen(name, secure ? serverOptions(table.tls ?? { verify: 'unset' }) : undefined)
    }
  }
  const app = Fastify({ ...(table.log === true ? { logger: lane.log.logger } : {}), ...(table.trustProxy === true ? { trustProxy: true } : {}) })
  lane.app = app
  try {
    if (table.setHeaders === true) app.addHook('onRequest', async (_, reply) => { reply.header('x-hook', 'yes') })
    app.register(wstunnel, optionsOf(table, lane.ours.ports))
    await app.listen({ port: 0, host: '127.0.0.1' })
  } catch (error) {
    throw new Error(`the plugin refuses the table of '${lane.scenarios[0]?.name}': ${(error as Error).message}`)
  }
}

export async function closeLane (lane: Lane): Promise<void> {
  await lane.app?.close()
  await lane.theirs.close()
  await lane.ours.close()
}

export function portOf (lane: Lane): number {
  return (lane.app?.server.address() as AddressInfo).port
}

function optionsOf (table: Table, ports: Readonly<Record<string, number>>): WstunnelOptions {
  const seconds = (value: number): string => `${value}s`
  const options: Record<string, unknown> = {
    routes: [
      { path: '/~probe', upstream: false },
      ...table.routes.map(({ path, upstream, upgrade }) => ({
        path,
        upstream: upstream === false ? upstream : located(upstream, ports),
        ...(upgrade === undefined ? {} : { upgrade })
      }))
    ]
  }
  if (table.balancers !== undefined) {
    options.balancers = Object.fromEntries(Object.entries(table.balancers).map(([name, { retry, members, ...rest }]) => [name, {
      ...rest,
      ...(retry === undefined ? {} : { retry: seconds(retry) }),
      members: members.map((member) => ({ ...member, url: located(member.url, ports) }))
    }]))
  }
  const { timeout, idleTimeout = timeout, connectTimeout, timeoutText, tls } = table
  if (timeout !== undefined) Object.assign(options, { timeout: seconds(timeout), handshakeTimeout: seconds(timeout) })
  if (idleTimeout !== undefined) options.idleTimeout = seconds(idleTimeout)
  if (connectTimeout !== undefined) options.connectTimeout = seconds(connectTimeout)
  if (timeoutText !== undefined) Object.assign(options, { timeout: timeoutText, handshakeTimeout: timeoutText })
  if (tls?.verify === 'on') options.tls = { ca: trusted().cert }
  if (tls?.verify === 'off') options.tls = { rejectUnauthorized: false }
  if (table.setHeaders === true) options.rewriteHeaders = (headers: object) => ({ ...headers, 'x-proxy': 'yes' })
  for (const name of ['fallbackToHttp', 'preserveHost', 'via', 'forwarded', 'allowedOrigins', 'async', 'prefix'] as const) {
    if (table[name] !== undefined) options[name] = table[name]
  }
  return options as WstunnelOptions
}
