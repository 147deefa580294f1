import { createProxyServer } from 'httpxy'
import { agent, listen } from './listen.js'
import { upstreamUrl } from './serve.js'

const proxy = createProxyServer({ target: upstreamUrl('http'), agent, changeOrigin: true })
const ignore = () => {}
listen(
  (request, response) => { proxy.web(request, response).catch(() => response.destroy()) },
  (request, socket, head) => { proxy.ws(request, socket, {}, head).catch(ignore) }
)
