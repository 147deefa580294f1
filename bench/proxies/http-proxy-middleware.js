import { createProxyMiddleware } from 'http-proxy-middleware'
import { agent, listen } from './listen.js'
import { upstreamUrl } from './serve.js'

const middleware = createProxyMiddleware({ target: upstreamUrl('http'), agent, changeOrigin: true })
listen((request, response) => { middleware(request, response, () => response.destroy()) }, middleware.upgrade)
