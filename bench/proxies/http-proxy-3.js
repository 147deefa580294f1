import httpProxy from 'http-proxy-3'
import { agent, listen } from './listen.js'
import { upstreamUrl } from './serve.js'

const proxy = httpProxy.createProxyServer({ target: upstreamUrl('http'), agent, changeOrigin: true })
proxy.on('error', (_error, _request, response) => response?.destroy())
listen((request, response) => proxy.web(request, response), (request, socket, head) => proxy.ws(request, socket, head))
