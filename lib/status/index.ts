/** `fastify-wstunnel/status`: a page with the state of the server, and the same as JSON. */
import type { FastifyInstance, FastifyRequest, onRequestHookHandler, preHandlerHookHandler, preValidationHookHandler, RegisterOptions } from 'fastify'
import type {} from '../index.ts'
import { parseAction, perform } from './actions.ts'
import { BadRequestError, ForbiddenError, InvalidOptionsError } from './errors.ts'
import { newNonce, whyForeign } from './guard.ts'
import { securityPolicy, writePage } from './page.ts'
import { Report } from './report.ts'
import { parseTunnelQuery } from './tunnel-list.ts'

/** The options of the status page. */
export interface StatusOptions extends RegisterOptions {
  /** The path of the page: `GET {prefix}/`, and `GET {prefix}/status.json`. Default: the scope's own. */
  prefix?: string
  /**
   * Lets the page drain, disable and enable members, change their weight, and close tunnels. It requires a hook in these options that
   * authorises the user. Default: false.
   */
  actions?: boolean
  /** Hooks that run first; with `actions`, one of the hooks must authorise the user. Default: none. */
  onRequest?: onRequestHookHandler | onRequestHookHandler[]
  /** Hooks that run after `onRequest`. Default: none. */
  preValidation?: preValidationHookHandler | preValidationHookHandler[]
  /** Hooks that run after `preValidation`. Default: none. */
  preHandler?: preHandlerHookHandler | preHandlerHookHandler[]
}

const hookNames = ['onRequest', 'preValidation', 'preHandler'] as const

/** The options of Fastify's `register`. */
const registerNames = ['prefix', 'logLevel', 'logSerializers']

/** The maximum size of an action's body, in bytes. */
const longestAction = 8192

/** The plugin for `app.register(status, { prefix: '/wstunnel' })`. It is encapsulated, and adds nothing to `app`. */
async function status (app: FastifyInstance, options: StatusOptions): Promise<void> {
  const { actions = false } = options
  checkOptions(options)
  // The user's hooks come first: before they pass, a client learns nothing.
  for (const name of hookNames) {
    for (const hook of [options[name] ?? []].flat()) app.addHook(name as 'onRequest', hook as onRequestHookHandler)
  }
  app.addHook('onReady', async () => {
    if (app.hasDecorator('wstunnel')) return
    throw new InvalidOptionsError('there is no `app.wstunnel` here: register fastify-wstunnel on this instance or on one around it; it needs no routes there')
  })
  const report = new Report(app)
  app.addHook('onClose', async () => report.forget())

  const nonce = actions ? newNonce() : undefined
  const page = writePage(nonce)
  const quiet = { logLevel: 'warn', schema: { hide: true } as object } as const
  app.get('/', quiet, (_request, reply) => {
    reply.headers({ ...common, 'content-type': 'text/html; charset=utf-8', 'content-security-policy': securityPolicy }).send(page)
  })
  app.get('/status.json', quiet, async (request, reply) => {
    const query = parseTunnelQuery(request.query as Record<string, unknown>)
    if (typeof query === 'string') throw new BadRequestError(`${query}: expected sort=age, bytes or rate, client=text, limit=number`)
    return await reply.headers({ ...common, 'content-type': 'application/json; charset=utf-8' }).send(await report.for(query))
  })
  if (nonce !== undefined) actionRoute(app, report, nonce)
}

const common = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin'
}

function actionRoute (app: FastifyInstance, report: Report, nonce: string): void {
  // JSON only: the plugin never reads what a form can send.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'string', bodyLimit: longestAction }, app.getDefaultJsonParser('error', 'error'))
  const onlyOurPage = (request: FastifyRequest): void => {
    const why = whyForeign(request, nonce)
    if (why === undefined) return
    const { origin, 'sec-fetch-site': site } = request.headers
    request.log.warn({ client: request.ip, origin, site }, `status page: action refused: ${why}`)
    throw new ForbiddenError(why)
  }
  app.post('/actions', { schema: { hide: true } as object, onRequest: async (request) => onlyOurPage(request) }, async (request, reply) => {
    const action = parseAction(request.body)
    perform(app, action)
    request.log.info({ client: request.ip, ...action }, 'status page: action')
    report.forget()
    return await reply.headers(common).send({ done: action.action })
  })
}

function checkOptions (options: StatusOptions): void {
  const { actions = false } = options
  const known: readonly string[] = [...registerNames, ...hookNames, 'actions']
  const unknown = Object.keys(options).filter((name) => !known.includes(name))
  if (unknown.length > 0) throw new InvalidOptionsError(`${unknown.join(', ')}: unknown option`)
  if (typeof actions !== 'boolean') throw new InvalidOptionsError('actions: expected true or false')
  const hooks = hookNames.flatMap((name) => [options[name] ?? []].flat().map((hook: unknown) => ({ name, hook })))
  for (const { name, hook } of hooks) if (typeof hook !== 'function') throw new InvalidOptionsError(`${name}: expected a function, or several`)
  if (actions && hooks.length === 0) {
    throw new InvalidOptionsError('actions: expected a hook beside it (onRequest, preValidation or preHandler) that says who may use them. ' +
      'Hooks of the scope around it do not count: this plugin cannot see whether there is one, and whether that is a guard')
  }
}

export default status
export { status }
