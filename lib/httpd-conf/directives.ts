/** Directives that become no option: those that need nothing, and those with a note. All names in lower case. */
import { resolveConditional } from './conditional.ts'
import type { Notes } from './notes.ts'
import type { Node } from './sections.ts'

function words (text: string): ReadonlySet<string> {
  return new Set(text.trim().split(/\s+/))
}

/** The directives by which httpd runs, logs and serves files: they do not affect what is sent where. */
const harmless = words(`
  acceptfilter acceptmutex acceptpathinfo addcharset addencoding addicon addiconbyencoding addiconbytype addlanguage addtype allowoverride
  browsermatch browsermatchnocase bufferedlogs coredumpdirectory customlog defaulticon defaultlanguage defaultruntimedir defaulttype directoryindex
  directoryslash documentroot enablemmap enablesendfile errorlog errorlogformat fileetag globallog gracefulshutdowntimeout group headername
  hostnamelookups indexignore indexoptions keepalive keepalivetimeout languagepriority listenbacklog listencoresbucketsratio loadfile loadmodule logformat
  loglevel maxclients maxconnectionsperchild maxkeepaliverequests maxmemfree maxrequestsperchild maxrequestworkers maxspareservers maxsparethreads
  mimemagicfile minspareservers minsparethreads mutex namevirtualhost options pidfile readmename receivebuffersize reflectorheader rewritelock rewritelog
  rewriteloglevel scoreboardfile sendbuffersize serveradmin serverlimit serverpath serverroot serversignature servertokens startservers startthreads threadlimit
  threadsperchild threadstacksize traceenable transferlog typesconfig usecanonicalname usecanonicalphysicalport user extendedstatus
  requestreadtimeout httpprotocoloptions forcelanguagepriority contentdigest limitrequestfields limitrequestfieldsize limitrequestline cookiedomain
  cookietracking regexdefaultoptions protocolshonororder flushmaxpipelined flushmaxthreshold mergetrailers
`)

const without: Readonly<Record<string, string>> = {
  allowencodedslashes: 'an encoded slash is always kept here',
  mergeslashes: 'slashes are kept here, but not two of them at the beginning of a path',
  acceptencodedslashes: 'an encoded slash is always kept here',
  protocols: "HTTP/2 is an option of Fastify's own server",
  h2websockets: "WebSockets over HTTP/2 are the plugin's option http2.webSockets",
  proxymaxforwards: 'has no effect here',
  proxybadheader: 'a bad response head is always a 502 here',
  proxyreceivebuffersize: 'has no effect here',
  proxyiobuffersize: 'has no effect here',
  proxy100continue: 'has no effect here',
  proxystatus: 'has no effect here',
  balancerinherit: 'has no effect here',
  balancergrowth: 'members are added through app.wstunnel.balancer(name)',
  balancerpersist: 'has no effect here',
  setenvif: 'has no effect here',
  setenvifnocase: 'has no effect here',
  passenv: 'has no effect here',
  unsetenv: 'has no effect here'
}

/** The directives that change a response, but not its source. */
const answers: Readonly<Record<string, string>> = {
  errordocument: 'an error page; set an error handler',
  proxyerroroverride: "an upstream's own error responses are always relayed here",
  adddefaultcharset: "an upstream's Content-Type is relayed as it is",
  addoutputfilterbytype: 'a filter; use @fastify/compress to compress',
  setoutputfilter: 'a filter; use @fastify/compress to compress',
  deflatecompressionlevel: 'a filter; use @fastify/compress to compress',
  expiresactive: 'a caching header; set it in rewriteHeaders',
  expiresbytype: 'a caching header; set it in rewriteHeaders',
  expiresdefault: 'a caching header; set it in rewriteHeaders',
  limitrequestbody: 'bodies are streamed here, without a limit',
  remoteipheader: "set Fastify's trustProxy",
  remoteipinternalproxy: "set Fastify's trustProxy",
  remoteiptrustedproxy: "set Fastify's trustProxy"
}

const guards = words(`
  require authtype authname authuserfile authgroupfile authbasicprovider authbasicauthoritative authdigestprovider authldapurl authldapbinddn
  authldapbindpassword authformprovider authmerging satisfy allow deny order sslverifyclient sslrequire sslrequiressl sslusername authnprovideralias
`)

/** The directives that set variables early enough for mod_proxy to read them; SetEnv comes too late. */
const earlyVariables: ReadonlySet<string> = words('setenvif setenvifnocase browsermatch browsermatchnocase')

export const withoutProxying = 'not translated: no-proxy, which keeps requests from being proxied; write an entry with upstream: false'

/** Matches directives of TLS to the client. */
const front = /^ssl(?!proxy|require|verifyclient|username)|^md[a-z]+$/

/** Notes a directive that no translation takes. */
export function noteOther (node: Node, notes: Notes): void {
  const { name } = node
  if (earlyVariables.has(name) && node.words.slice(1).some((word) => /^no-proxy(=|$)/i.test(word))) return notes.error(node, withoutProxying)
  if (harmless.has(name)) return
  if (guards.has(name)) notes.error(node, 'not translated: access control, so everyone has access here; use a hook, such as onRequest')
  else if (front.test(name)) notes.info(node, "TLS towards the client is Fastify's option https")
  else if (Object.hasOwn(without, name)) notes.info(node, without[name] ?? '')
  else if (Object.hasOwn(answers, name)) notes.check(node, `not translated: ${answers[name]}`)
  else if (/^(redirect|redirectmatch|redirectpermanent|redirecttemp)$/.test(name)) notes.error(node, 'not translated: a redirect; use a route of your own')
  else if (/^(alias|aliasmatch|scriptalias|scriptaliasmatch)$/.test(name)) notes.error(node, 'not translated: files; use @fastify/static')
  else if (/^(define|undefine)$/.test(name)) notes.error(node, 'not translated: write the value of a variable in its place')
  else if (/^(include|includeoptional|use)$/.test(name)) notes.error(node, 'not translated: insert what it includes in its place')
  else notes.error(node, 'not translated: this directive has no counterpart here')
}

/**
 * Notes the access rules of a section. `Require all granted` and `Order` with `Allow from all` admit every client, and need nothing; all
 * others are errors.
 */
export function noteGuards (nodes: readonly Node[], notes: Notes): void {
  const order = nodes.findLast(({ name }) => name === 'order')
  const allowsAll = nodes.some(({ name, words }) => name === 'allow' && words.join(' ').toLowerCase() === 'from all')
  for (const node of nodes) {
    const text = node.words.join(' ').toLowerCase().replace(/\s*,\s*/g, ',')
    if (node.name === 'require' && text === 'all granted') continue
    if (node.name === 'allow' && text === 'from all') continue
    if (node.name === 'order' && (text === 'deny,allow' || (text === 'allow,deny' && allowsAll))) continue
    if (node.name === 'satisfy' && text === 'any' && order === undefined) continue
    if (isGuard(node)) noteOther(node, notes)
  }
}

const containers: ReadonlySet<string> = new Set(['requireall', 'requireany', 'requirenone'])

export function isContainer ({ name, children }: Node): boolean {
  return children !== undefined && containers.has(name)
}

/** Notes `<RequireAll>` and similar sections, however deep: they are harmless only if they contain nothing but `all granted`. */
export function noteContainer (container: Node, notes: Notes): void {
  const children = resolveConditional(container.children ?? [], notes)
  noteGuards(children, notes)
  if (container.name === 'requirenone') notes.error(container, 'not translated: access control, so everyone has access here; use a hook, such as onRequest')
  for (const child of children) {
    if (isContainer(child)) noteContainer(child, notes)
    else if (!isGuard(child)) notes.error(child, 'not translated: within a section with access control')
  }
}

export function isGuard ({ name }: Node): boolean {
  return guards.has(name)
}
