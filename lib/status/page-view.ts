/** The part of the page's script that polls the server and fills the page. JavaScript. */
export const view: string = String.raw`
/** Between two questions, and for an answer, in milliseconds. */
const POLL = 2000
const PATIENCE = 10000
/** How many rows of upstreams or members are shown: the filter finds the others. */
const MOST_ROWS = 100
const FEW_ROWS = 8

const base = location.pathname.replace(/[^/]+$/, '$&/')
const nonce = document.querySelector('meta[name="wstunnel-nonce"]')?.getAttribute('content') ?? undefined
const query = /** @type {HTMLFormElement} */ (byId('query'))
/** @type {Object<string, string>} */
const tones = { up: 'good', error: 'bad', unhealthy: 'bad', draining: 'warn', disabled: 'idle', stopped: 'idle' }

/** @type {Sample[]} */
let history = []
/** The tunnels that were shown last, with their bytes, and when that was. @type {{ at: number, bytes: Map<string, number> }} */
let lastTunnels = { at: 0, bytes: new Map() }
/** What is looked for in the members of a balancer, by its name. @type {Map<string, string>} */
const filters = new Map()
/** Routes whose upstreams are all shown. @type {Set<string>} */
const unfolded = new Set()
/** @type {Status | undefined} */
let status
/** The answer before it, of the same server. @type {Status | undefined} */
let previous
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer
/** @type {AbortController | undefined} */
let asking

/** @type {TileOptions[]} */
const tileOptions = [
  { label: 'Live tunnels', isCounter: false, format: count, lines: [({ tunnels }) => tunnels.open],
    note: ({ tunnels }) => count(tunnels.active) + ' active, ' + count(tunnels.suspended) + ' suspended' },
  { label: 'Tunnels opened', isCounter: true, format: perSecond, lines: [({ tunnels }) => tunnels.opened],
    note: ({ tunnels }) => count(tunnels.opened) + ' since the start' },
  { label: 'Requests', isCounter: true, format: perSecond, lines: [({ forwards }) => sum(forwards.status)],
    note: ({ forwards }) => count(forwards.inFlight) + ' in flight' },
  { label: 'From clients', isCounter: true, format: bytesPerSecond, lines: [({ tunnels, forwards }) => tunnels.bytesFromClient + forwards.bytesFromClient],
    note: ({ tunnels, forwards }) => bytes(tunnels.bytesFromClient + forwards.bytesFromClient) + ' since the start' },
  { label: 'From upstreams', isCounter: true, format: bytesPerSecond,
    lines: [({ tunnels, forwards }) => tunnels.bytesFromUpstream + forwards.bytesFromUpstream],
    note: ({ tunnels, forwards }) => bytes(tunnels.bytesFromUpstream + forwards.bytesFromUpstream) + ' since the start' },
  { label: 'Refused · failed', isCounter: true, format: perSecond, lines: [({ tunnels }) => sum(tunnels.refused), ({ forwards }) => forwards.failed],
    note: ({ tunnels, forwards }) => count(sum(tunnels.refused)) + ' upgrades · ' + count(forwards.failed) + ' requests' }
]
const tiles = tileOptions.map((options) => ({ options, tile: tile(options) }))
byId('tiles').append(...tiles.map(({ tile }) => tile.node))

/** Asks once, and again and again while the page is visible. */
async function poll () {
  clearTimeout(timer)
  asking?.abort()
  asking = undefined
  if (document.hidden) return
  const mine = asking = new AbortController()
  const late = setTimeout(() => mine.abort(), PATIENCE)
  const wanted = new URLSearchParams()
  for (const name of ['sort', 'client', 'limit']) wanted.set(name, /** @type {HTMLInputElement} */ (query.elements.namedItem(name)).value.trim())
  try {
    const response = await fetch(base + 'status.json?' + wanted, { signal: mine.signal, cache: 'no-store' })
    if (!response.ok) throw new Error('the server answered ' + response.status)
    const answer = await response.json()
    if (mine !== asking) return
    show(answer)
    complain(undefined)
  } catch (error) {
    if (mine !== asking) return
    complain(mine.signal.aborted ? 'no answer for ' + duration(PATIENCE) : /** @type {Error} */ (error).message)
  } finally {
    clearTimeout(late)
  }
  timer = setTimeout(poll, POLL)
}

/** @param {string | undefined} problem */
function complain (problem) {
  byId('problem').hidden = problem === undefined
  write(byId('problem'), problem === undefined ? '' : 'Not up to date: ' + problem + '. Trying again.')
  write(byId('state'), problem !== undefined ? 'not reachable' : status?.draining ? 'draining' : 'serving')
  set(byId('state'), 'data-tone', problem !== undefined ? 'bad' : status?.draining ? 'warn' : 'good')
}

/** @param {Status} answer */
function show (answer) {
  if (status !== undefined && answer !== status) previous = answer.uptime < status.uptime ? undefined : answer.at > status.at ? status : previous
  status = answer
  const { at, uptime, tunnels, forwards } = answer
  history = remember(history, { at, uptime, tunnels, forwards }) // not what grows with the upstreams
  write(byId('uptime'), 'up for ' + duration(Math.max(1000, answer.uptime)))
  for (const { options, tile } of tiles) tile.show(history, options.note(answer))
  showRoutes(answer)
  keep(byId('balancers'), answer.balancers, ({ balancer }) => balancer, makeBalancer, showBalancer)
  bars('ended', answer.tunnels.closed, true)
  bars('refused', answer.tunnels.refused, false)
  bars('statuses', answer.forwards.status, true)
  showTimes(answer)
  showTunnels(answer.live, answer.at)
}

/** @param {Status} answer */
function showRoutes ({ routes, at }) {
  write(byId('routes-note'), routes.length === 0 ? 'none' : '')
  const before = previous
  /** @type {Map<string, Work>} */
  const earlier = new Map()
  for (const route of before?.routes ?? []) {
    earlier.set(JSON.stringify([route.route]), route)
    for (const upstream of route.upstreams) earlier.set(JSON.stringify([route.route, upstream.upstream]), upstream)
  }
  const rows = routes.flatMap(({ upstreams, ...route }) => {
    const most = unfolded.has(route.route) ? MOST_ROWS : FEW_ROWS
    const [only] = upstreams
    const key = JSON.stringify([route.route])
    const isOne = upstreams.length === 1 && only !== undefined
    if (isOne) return [{ key, name: route.route + ' → ' + only.upstream, kind: /** @type {const} */ ('route'), work: route }]
    const shown = upstreams.slice().sort((a, b) => b.open - a.open || b.inFlight - a.inFlight || b.requests - a.requests).slice(0, most)
    /** @type {RouteRow[]} */
    const all = [{ key, name: route.route, kind: 'route', work: route }]
    for (const upstream of shown) all.push({ key: JSON.stringify([route.route, upstream.upstream]), name: upstream.upstream, kind: 'sub', work: upstream })
    const more = upstreams.length - shown.length
    if (more > 0) all.push({ key: key + ' more', name: count(more) + ' more', kind: most === FEW_ROWS ? 'more' : 'rest', route: route.route })
    return all
  })
  const table = byId('routes')
  keep(/** @type {Element} */ (table.querySelector('tbody')), rows, ({ key, kind }) => kind + ' ' + key, (item) => {
    if (item.kind === 'more' || item.kind === 'rest') {
      const cell = element('td', '', item.kind === 'more' ? button('', () => { unfolded.add(item.route ?? '') }) : '')
      cell.setAttribute('colspan', '9')
      return element('tr', 'sub', cell)
    }
    const made = row(table)
    made.className = item.kind
    made.children[0]?.classList.add('name')
    return made
  }, (made, { key, name, kind, work }) => {
    const isMore = kind === 'more'
    if (work === undefined) return write(/** @type {Element} */ (made.querySelector(isMore ? 'button' : 'td')), isMore ? 'Show ' + name : name)
    const was = earlier.get(key)
    const ms = before === undefined ? 0 : at - before.at
    fill(made, [
      name, count(work.open), perSecond(rate(was?.opened, work.opened, ms)), count(work.refused),
      perSecond(rate(was?.requests, work.requests, ms)), count(work.inFlight), count(work.failed),
      bytesPerSecond(rate(was?.bytesFromClient, work.bytesFromClient, ms)), bytesPerSecond(rate(was?.bytesFromUpstream, work.bytesFromUpstream, ms))
    ])
  })
}

/** @param {Balancer} item */
function makeBalancer ({ balancer }) {
  const table = element('table')
  const heads = ['Member', 'State', 'Share', 'Busy', 'Tunnels', 'Chosen', 'Failures', 'Weight', 'From clients', 'From upstreams']
  table.append(element('thead', '', element('tr', '', ...heads.map((head, i) => element('th', i > 2 ? 'n' : '', head)))), element('tbody'))
  if (nonce !== undefined) table.querySelector('tr')?.append(element('th', 'a', element('span', 'hidden', 'Change')))
  const filter = /** @type {HTMLInputElement} */ (element('input'))
  filter.type = 'search'
  filter.size = 14
  filter.placeholder = 'address, route or state'
  filter.addEventListener('input', () => {
    filters.set(balancer, filter.value.trim().toLowerCase())
    if (status !== undefined) show(status)
  })
  const head = element('div', 'head', element('h2', '', 'Balancer ' + balancer), element('span', 'soft'), element('label', 'end', 'Find ', filter))
  return element('section', 'card', head, table)
}

/** @param {Element} made @param {Balancer} item */
function showBalancer (made, { balancer, lbMethod, up, members }) {
  const wanted = filters.get(balancer) ?? ''
  const found = byTrouble(members.filter(({ url, route, state }) => (url + ' ' + (route ?? '') + ' ' + state).toLowerCase().includes(wanted)))
  const shown = found.slice(0, MOST_ROWS)
  const left = shown.length < found.length ? '; ' + shown.length + ' of ' + count(found.length) + ' shown' : ''
  write(/** @type {Element} */ (made.querySelector('.soft')), count(up) + ' of ' + count(members.length) + ' up, ' + lbMethod + left)
  made.querySelector('label')?.toggleAttribute('hidden', members.length <= FEW_ROWS)
  const table = /** @type {HTMLElement} */ (made.querySelector('table'))
  const elected = members.reduce((total, member) => total + member.elected, 0)
  keep(/** @type {Element} */ (table.querySelector('tbody')), shown, ({ url }) => url, ({ url }) => {
    const cells = row(table)
    cells.children[0]?.classList.add('name')
    cells.children[1]?.append(dot('', 'idle'))
    cells.children[2]?.append(element('span', '', meter('share'), element('span')))
    if (nonce !== undefined) cells.children[10]?.append(button('Change', () => { openMember(balancer, url) }))
    return cells
  }, (cells, member) => {
    const state = /** @type {HTMLElement} */ (cells.querySelector('.dot'))
    write(state, member.state + ' for ' + duration(Math.max(1000, (status?.at ?? 0) - member.since)))
    set(state, 'data-tone', tones[member.state] ?? 'idle')
    set(state, 'title', 'since ' + new Date(member.since).toLocaleString())
    setMeter(cells.children[2], elected === 0 ? 0 : member.elected / elected)
    write(/** @type {Element} */ (cells.children[2]?.querySelector('span > span')), percent(member.elected, elected))
    const letters = ['', 'D', 'N', 'S'].includes(member.status) ? '' : ' [' + member.status + ']'
    write(/** @type {Element} */ (cells.children[0]), member.url + (member.route === null ? '' : ' · ' + member.route) + letters)
    const numbers = [
      count(member.busy) + (member.max === null ? '' : ' of ' + count(member.max)), count(member.tunnels), count(member.elected),
      count(member.failures), trim(member.loadFactor), bytes(member.bytesFromClient), bytes(member.bytesFromUpstream)
    ]
    numbers.forEach((text, i) => fillCell(cells.children[i + 3], text))
  })
}

/** @param {Status} answer */
function showTimes ({ tunnels, forwards }) {
  const first = history[0]
  const rows = [
    { name: 'Handshakes', before: first?.tunnels.handshake, now: tunnels.handshake },
    { name: 'Requests', before: first?.forwards.duration, now: forwards.duration },
    { name: 'Tunnels, till their end', before: first?.tunnels.lifetime, now: tunnels.lifetime }
  ]
  const table = byId('times')
  keep(/** @type {Element} */ (table.querySelector('tbody')), rows, ({ name }) => name, () => row(table), (made, { name, before, now }) => {
    const texts = [0.5, 0.95].map((share) => quantile(history.length > 1 ? before : undefined, now, share))
    const largest = now.buckets[now.buckets.length - 1]?.le ?? 0
    fill(made, [name, ...texts.map((value) => value === undefined ? '–' : value === Infinity ? 'over ' + duration(largest) : duration(value))])
  })
}

/** @param {Live} live @param {number} at */
function showTunnels ({ total, client, tunnels }, at) {
  write(byId('tunnels-note'), total === 0 ? '' : count(tunnels.length) + ' of ' + count(total) + (client === '' ? '' : ' whose client begins with ' + client))
  byId('no-tunnels').hidden = total > 0
  write(byId('no-tunnels'), client === '' ? 'No tunnel is open.' : 'No tunnel is open whose client begins with ' + client + '.')
  const table = byId('tunnels')
  const before = lastTunnels
  const ms = at - before.at
  keep(/** @type {Element} */ (table.querySelector('tbody')), tunnels, ({ id }) => id, ({ id }) => {
    const made = row(table)
    for (const i of [0, 1, 2]) made.children[i]?.classList.add('name')
    for (const i of [1, 3]) made.children[i]?.classList.add('aside') // left out where there is little room
    made.children[4]?.append(dot('', 'idle'))
    if (nonce !== undefined) made.children[9]?.append(button('Close', () => { openTunnel(id) }))
    return made
  }, (made, tunnel) => {
    const sum = tunnel.bytesFromClient + tunnel.bytesFromUpstream
    const state = /** @type {Element} */ (made.querySelector('.dot'))
    write(state, tunnel.state)
    set(state, 'data-tone', tunnel.state === 'active' ? 'good' : 'idle')
    const was = before.bytes.get(tunnel.id)
    const now = was === undefined || ms <= 0 ? '–' : bytesPerSecond(rate(was, sum, ms))
    const texts = {
      0: tunnel.client, 1: tunnel.route, 2: tunnel.upstream, 3: tunnel.protocol,
      5: duration(tunnel.age), 6: bytes(tunnel.bytesFromClient), 7: bytes(tunnel.bytesFromUpstream), 8: now
    }
    for (const [i, text] of Object.entries(texts)) fillCell(made.children[Number(i)], text)
  })
  if (ms > 0) lastTunnels = { at, bytes: new Map(tunnels.map(({ id, bytesFromClient, bytesFromUpstream }) => [id, bytesFromClient + bytesFromUpstream])) }
}
`
