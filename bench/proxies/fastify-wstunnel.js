import cluster from 'node:cluster'
import { once } from 'node:events'
import { serveApplication } from './application.js'
import { ready, setting, upstreamUrl } from './serve.js'

const { workers = 1, build = '../../dist/index.js', tls } = setting
const { default: wstunnel } = await import(build)
const options = { upstream: upstreamUrl('ws'), ...(tls === undefined ? {} : { tls: { ca: tls.ca } }) }

if (workers > 1 && cluster.isPrimary) {
  cluster.setupPrimary({ args: process.argv.slice(2) })
  const ports = await Promise.all(Array.from({ length: workers }, async () => (await once(cluster.fork(), 'message'))[0].port))
  ready(ports[0]) // port 0 is one port for all workers
} else {
  ready(await serveApplication(wstunnel, options))
}
