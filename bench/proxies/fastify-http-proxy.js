import proxy from '@fastify/http-proxy'
import { run } from './application.js'
import { setting, upstreamUrl } from './serve.js'

const { tls } = setting
await run(proxy, {
  upstream: upstreamUrl('http'),
  websocket: true,
  ...(tls === undefined ? {} : { undici: { connect: { ca: tls.ca } }, wsClientOptions: { ca: tls.ca } })
})
