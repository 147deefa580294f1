// A whole virtual host, as a table: the first target that matches and can serve the request takes it.
// The same in httpd.conf:
//
//   ProxyWebsocketFallbackToProxyHttp Off
//   ProxyPass /internal/ !
//   ProxyPass /live/     ws://upstream/
//   ProxyPass /          ws://upstream/
//   ProxyPass /          http://upstream/
import fastify, { type FastifyInstance } from 'fastify'
import wstunnel from 'fastify-wstunnel'
import { run } from './run.ts'

export function build (upstream: string): FastifyInstance {
  const app = fastify()
  const http = upstream.replace(/^ws/, 'http')

  app.register(wstunnel, {
    connectTimeout: '3s', // a default for every route below
    routes: [
      { path: '/internal/', upstream: false }, // never proxied: a 404, or a route of this application
      { path: '/live/', upstream, fallbackToHttp: false, idleTimeout: '1h' }, // upgrades only …
      { path: '/', upstream, fallbackToHttp: false, idleTimeout: '5m' },
      { path: '/', upstream: http } // … and everything else, /live/ too
    ]
  })

  app.get('/internal/health', () => ({ ok: true }))

  return app
}

await run(import.meta.url, build, (url) => `
    curl ${url}/anything
    curl ${url}/internal/health
    curl -i ${url}/internal/secret
    npx wscat -c ${url.replace('http', 'ws')}/live/echo
`)
