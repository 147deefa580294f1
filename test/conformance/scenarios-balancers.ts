/** Who of a balancer's members gets which request: in turn, by session, and where some of them fail. */
import { ended, fin, hold, name, only, pass, release, reset, sequence, soon, through } from './steps.ts'
import { differencesOfBalancers } from './differences-balancers.ts'
import type { ClientStep, UpstreamStep } from './ends.ts'
import type { BalancerTable, MemberTable, Scenario, Table } from './table.ts'
import { ask, handshake, head, ok, says, willing } from './words.ts'

function member (upstream: string, more: Partial<MemberTable> = {}): MemberTable {
  return { url: `http://${upstream}`, ...more }
}

/** Of ws, for tunnels; requests are served, too. */
function tunnelling (upstream: string, more: Partial<MemberTable> = {}): MemberTable {
  return { url: `ws://${upstream}`, ...more }
}

const [a, b, c] = [member('A', { route: 'a' }), member('B', { route: 'b' }), member('C', { route: 'c' })]
const down = member('refused', { route: 'd' })
const down2 = member('gone', { route: 'e' })

function scenario (
  what: string, balancer: BalancerTable, client: readonly ClientStep[],
  more: Partial<Table> = {}, upstream: readonly UpstreamStep[] = [name()]
): Scenario {
  const full: BalancerTable = { lbMethod: 'byrequests', forceRecovery: false, retry: 600, ...balancer }
  return {
    name: `balancers / ${what}`,
    table: { routes: [{ path: '/', upstream: 'balancer://x/' }], balancers: { x: full }, ...more },
    client,
    upstream: [upstream],
    ...differencesOfBalancers[`balancers / ${what}`]
  }
}

const plain = (count: number): ClientStep => sequence(count, () => head('GET /x'))
const at = (target: string, count: number = 1, ...lines: string[]): ClientStep => sequence(count, () => head(`GET ${target}`, ...lines))

/** Numbers in [0, 1), the same in each run (Lehmer, 1951, with the multiplier of Park and Miller). */
function chance (seed: number): () => number {
  let state = seed
  return () => (state = state * 48271 % 2147483647) / 2147483647
}

const factors: Record<string, readonly number[]> = {
  'three alike': [1, 1, 1], '3 and 1': [3, 1], '5, 3 and 2': [5, 3, 2], '1.5 and 1': [1.5, 1], '100 and 1': [100, 1]
}
for (const seed of [1, 2, 3, 4]) {
  const random = chance(seed)
  const drawn = Array.from({ length: 2 + seed }, () => Number((1 + random() * (seed % 2 === 0 ? 9 : 99)).toFixed(seed > 2 ? 2 : 0)))
  factors[`by chance: ${drawn.join(', ')}`] = drawn
}

const inTurn = Object.entries(factors).map(([what, all]) =>
  scenario(`byrequests / ${what}`, { members: all.map((loadFactor, i) => member('ABCDEFG'.charAt(i), { loadFactor })) }, [plain(1000)]))

const sticky: BalancerTable = { members: [a, b, c], stickySession: 'COOKIE|sid' }
const cookie = (value: string): string => `Cookie: x=1; COOKIE=${value}`

/** By chance: bound to one of the routes, an unknown one or none, by cookie, query or path. */
function mixed (count: number, seed: number): ClientStep {
  const random = chance(seed)
  const pick = (all: readonly string[]): string => all[Math.floor(random() * all.length)] as string
  const requests = Array.from({ length: count }, () => {
    const value = `s1.${pick(['a', 'b', 'b', 'c', 'z'])}`
    return pick([
      head('GET /x'), head('GET /x', cookie(value)), head(`GET /x?y=1&sid=${value}`),
      head(`GET /x;sid=${value}`), head(`GET /x?sid=${value}`, cookie('s1.a'))
    ])
  })
  return sequence(count, (i) => requests[i] as string)
}

const sessions: Scenario[] = [
  scenario('sessions / by cookie', sticky, [at('/x', 3, cookie('s.b')), plain(7), at('/x', 2, cookie('s.c')), plain(7)]),
  scenario('sessions / by a parameter of the query', sticky, [at('/x?sid=s.b', 3), plain(7)]),
  scenario('sessions / by a parameter of the path', sticky, [at('/x;sid=s.b', 3), plain(7)]),
  scenario('sessions / the parameter comes before the cookie', sticky, [at('/x?sid=s.b', 3, cookie('s.a')), plain(5)]),
  scenario('sessions / one name for both', { ...sticky, stickySession: 'SID' }, [at('/x?SID=s.b', 2), at('/x', 2, 'Cookie: SID=s.c'), plain(4)]),
  scenario('sessions / an unknown route', sticky, [at('/x', 5, cookie('s.z')), at('/x?sid=s.z', 2), plain(3)]),
  scenario('sessions / a value without a route', sticky, [at('/x', 4, cookie('s')), at('/x', 4, cookie('s.')), at('/x', 4, cookie('a'))]),
  scenario('sessions / a route with more separators', sticky, [at('/x', 4, cookie('s.t.b')), at('/x', 4, cookie('.b'))]),
  scenario('sessions / another cookie whose name ends alike', sticky, [at('/x', 4, 'Cookie: XCOOKIE=s.b')]),
  scenario('sessions / the separator is a dash', { ...sticky, stickySessionSep: '-' }, [at('/x', 3, cookie('s-b')), at('/x', 3, cookie('s.c'))]),
  scenario('sessions / no separator', { ...sticky, stickySessionSep: 'Off' }, [at('/x', 3, cookie('b')), at('/x', 3, cookie('s.c')), plain(4)]),
  scenario('sessions / load factors', { ...sticky, members: [{ ...a, loadFactor: 3 }, { ...b, loadFactor: 2 }, c] }, [at('/x', 4, cookie('s.c')), plain(20)]),
  scenario('sessions / all mixed', sticky, [mixed(400, 7)]),
  scenario('sessions / all mixed, with load factors', { ...sticky, members: [{ ...a, loadFactor: 2.5 }, { ...b, loadFactor: 4 }, c] }, [mixed(400, 11)]),
  scenario('sessions / all mixed, one is down', { ...sticky, members: [a, { ...down, route: 'b' }, c] }, [mixed(100, 13)]),
  scenario('sessions / the member is down', { ...sticky, members: [a, down, c] }, [at('/x', 4, cookie('s.d')), plain(4)]),
  scenario('sessions / the member is down, redirect', { ...sticky, members: [a, { ...down, redirect: 'c' }, b, c] }, [at('/x', 4, cookie('s.d')), plain(6)]),
  scenario(
    'sessions / the member is disabled, redirect',
    { ...sticky, members: [a, { ...b, status: '+D', redirect: 'c' }, c] },
    [at('/x', 4, cookie('s.b')), plain(4)]
  ),
  scenario(
    'sessions / redirects in a circle',
    { ...sticky, members: [a, { ...down, redirect: 'e' }, { ...down2, redirect: 'd' }] },
    [at('/x', 3, cookie('s.d')), plain(2)]
  ),
  scenario(
    'sessions / noFailover, the member is down',
    { ...sticky, members: [a, down, c], noFailover: true },
    [at('/x', 3, cookie('s.d')), at('/x', 3, cookie('s.z')), plain(4)]
  ),
  scenario(
    'sessions / noFailover, the member is disabled',
    { ...sticky, members: [a, { ...b, status: '+D' }, c], noFailover: true },
    [at('/x', 2, cookie('s.b')), plain(4)]
  ),
  scenario(
    'sessions / noFailover, redirect',
    { ...sticky, members: [a, { ...b, status: '+D', redirect: 'c' }, c], noFailover: true },
    [at('/x', 2, cookie('s.b')), plain(4)]
  ),
  scenario('sessions / a member that drains', { ...sticky, members: [a, { ...b, status: '+N' }, c] }, [plain(4), at('/x', 3, cookie('s.b')), plain(4)]),
  scenario('sessions / a hot standby', { ...sticky, members: [a, { ...b, status: '+H' }, c] }, [plain(4), at('/x', 3, cookie('s.b')), plain(6)]),
  scenario('sessions / a spare', { ...sticky, members: [a, { ...b, status: '+R' }, c] }, [plain(4), at('/x', 3, cookie('s.b')), plain(6)]),
  scenario('sessions / a tunnel by cookie', { ...sticky, members: [tunnelling('A', { route: 'a' }), tunnelling('B', { route: 'b' })] }, [
    hold(handshake('/x', cookie('s.b'))), hold(handshake('/x', cookie('s.b'))), plain(4), release(), release()
  ]),
  scenario('sessions / a parameter within another name', sticky, [at('/x?xsid=s.b', 3), plain(3)]),
  scenario('sessions / a long one, then none', { ...sticky, members: [a, b] }, [at('/x', 100, cookie('s.a')), plain(100)]),
  scenario(
    'sessions / a cookie of our own',
    { members: [{ ...tunnelling('A'), route: 'a' }], stickySession: 'COOKIE', stickyCookie: {} },
    ask(handshake()),
    {},
    willing[0]
  )
]

/** A member that fails with 503 is out with `failOnStatus`: who is out shows in what comes next. */
const failing: BalancerTable = { members: [a, b, c], failOnStatus: [503] }

const failures: Scenario[] = [
  scenario('failures / one that is down', { members: [a, down, c] }, [plain(50)]),
  scenario('failures / one that is down, load factors', { members: [{ ...a, loadFactor: 3 }, { ...down, loadFactor: 5 }, c] }, [plain(50)]),
  scenario('failures / two that are down', { members: [down, down2, c] }, [plain(6)]),
  scenario('failures / maxAttempts: 0', { members: [a, down, c], maxAttempts: 0 }, [plain(10)]),
  scenario('failures / maxAttempts: 1', { members: [down, down2, c], maxAttempts: 1 }, [plain(6)]),
  scenario('failures / all down', { members: [down, down2] }, [plain(4)]),
  scenario('failures / all down, forceRecovery', { members: [down, down2], forceRecovery: true }, [plain(4)]),
  scenario('failures / one in error, and retry is over', { members: [a, down], maxAttempts: 0, retry: 1 }, [plain(4), pass(1_300), plain(4)]),
  scenario('failures / a body', { members: [down, b] }, [sequence(3, () => head('POST /x', 'Content-Length: 5') + 'hello')]),
  scenario('failures / failOnStatus', failing, [at('/503'), plain(6), at('/500'), plain(5)]),
  scenario('failures / failOnStatus, several', { ...failing, failOnStatus: [500, 502] }, [at('/500'), at('/503'), at('/502'), plain(6)]),
  scenario('failures / no failOnStatus', { members: [a, b, c] }, [at('/503', 4), plain(5)]),
  scenario('failures / failOnStatus for all, forceRecovery', { ...failing, forceRecovery: true }, [at('/503', 3), plain(6)]),
  scenario('failures / failOnStatus for all', failing, [at('/503', 3), plain(3)]),
  scenario('failures / upgrades', { members: [tunnelling('refused'), tunnelling('B'), tunnelling('C')] }, [
    hold(handshake()), hold(handshake()), hold(handshake()), release(), release(), release()
  ]),
  scenario('failures / an end without a byte', { members: [a, b] }, [at('/x', 4, 'Connection: close')], {}, [only('A', fin(), ended())]),
  scenario('failures / a reset without a byte', { members: [a, b] }, [at('/x', 4, 'Connection: close')], {}, [only('A', reset())]),
  scenario('failures / silence', { members: [a, b] }, [at('/x', 2, 'Connection: close')], { timeout: 1 }, [only('A', ended())]),
  scenario('failures / all down, as it comes', { ...failing, forceRecovery: undefined }, [at('/503', 3), plain(3)]),
  scenario('failures / retry is longer each time', { members: [a, down], maxAttempts: 0, retry: 1 }, [plain(4), pass(1_300), plain(4), pass(1_300), plain(4)])
]

const letters: Scenario[] = [
  ...['D', 'S', 'H', 'R', 'N'].flatMap((letter) => [
    scenario(`letters / ${letter}`, { members: [a, { ...b, status: `+${letter}` }, c] }, [plain(12)]),
    scenario(`letters / ${letter}, one is down`, { members: [a, { ...b, status: `+${letter}` }, down, c] }, [plain(12)]),
    scenario(`letters / ${letter}, the others are down`, { members: [down, { ...b, status: `+${letter}` }] }, [plain(4)]),
    scenario(`letters / ${letter}, alone`, { members: [{ ...a, status: `+${letter}` }, { ...b, status: `+${letter}` }] }, [plain(4)])
  ]),
  scenario('letters / I', { members: [a, { ...down, status: '+I' }, c] }, [plain(9)]),
  scenario('letters / I with failOnStatus', { members: [{ ...a, status: '+I' }, b], failOnStatus: [503] }, [at('/503', 4), plain(4)]),
  scenario('letters / two spares for one', { members: [a, { ...b, status: '+R' }, { ...c, status: '+R' }, down] }, [plain(12)]),
  scenario('letters / two spares for two', { members: [a, { ...b, status: '+R' }, { ...c, status: '+R' }, down, down2] }, [plain(12)]),
  scenario('letters / a spare for one that drains', { members: [a, { ...b, status: '+N' }, { ...c, status: '+R' }] }, [plain(8)]),
  scenario('letters / a spare and a standby', { members: [down, { ...b, status: '+R' }, { ...c, status: '+H' }] }, [plain(6)]),
  scenario('letters / two standbys', { members: [down, { ...b, status: '+H', loadFactor: 2 }, { ...c, status: '+H' }] }, [plain(9)]),
  scenario('letters / of both signs', { members: [a, { ...b, status: '+D-D' }, { ...c, status: '+H-H' }] }, [plain(6)])
]

const sets: Scenario[] = [
  scenario('sets / the lowest', { members: [{ ...a, lbSet: 2 }, { ...b, lbSet: 1 }, { ...c, lbSet: 1 }] }, [plain(6)]),
  scenario('sets / the lowest is down', { members: [{ ...down, lbSet: 0 }, { ...b, lbSet: 1 }, { ...c, lbSet: 1 }] }, [plain(6)]),
  scenario('sets / a gap between', { members: [{ ...down, lbSet: 0 }, { ...b, lbSet: 9 }] }, [plain(4)]),
  scenario('sets / a standby before the next set', { members: [{ ...down, lbSet: 0 }, { ...b, status: '+H' }, { ...c, lbSet: 1 }] }, [plain(6)]),
  scenario('sets / a spare of the next set', { members: [a, down, { ...b, lbSet: 1, status: '+R' }] }, [plain(6)]),
  scenario('sets / a session in a higher one', { ...sticky, members: [a, b, { ...c, lbSet: 1 }] }, [at('/x', 2, cookie('s.c')), plain(6)])
]

const busy = (more: Partial<MemberTable> = {}): BalancerTable =>
  ({ lbMethod: 'bybusyness', members: [tunnelling('A', more), tunnelling('B'), tunnelling('C')] })

const busyness: Scenario[] = [
  scenario('bybusyness / one after the other', busy(), [plain(30)]),
  scenario('bybusyness / load factors, one after the other', busy({ loadFactor: 3 }), [plain(30)]),
  scenario('bybusyness / tunnels that stay open', busy(), [
    hold(handshake()), hold(handshake()), plain(3), release(), plain(4), hold(handshake()), hold(handshake()), hold(handshake()), plain(3)
  ]),
  scenario('bybusyness / tunnels by load factor', { lbMethod: 'bybusyness', members: [tunnelling('A', { loadFactor: 3 }), tunnelling('B')] }, [
    hold(handshake()), hold(handshake()), hold(handshake()), hold(handshake())
  ]),
  scenario('bybusyness / unless said otherwise', { lbMethod: undefined, members: [tunnelling('A'), tunnelling('B')] }, [hold(handshake()), plain(4)]),
  scenario('bytraffic / bytes of tunnels', { lbMethod: 'bytraffic', members: [tunnelling('A'), tunnelling('B')] }, [
    hold(handshake()), through(10_000), plain(4)
  ]),
  scenario('max / all have as many', { members: [tunnelling('A', { max: 1 })] }, [hold(handshake()), soon(1_000, at('/x'))])
]

const joined: Scenario[] = ['', '/base', '/base/'].flatMap((base) => ['/p/a/b?c=1', '/q/a', '/q'].map((target) =>
  scenario(`paths / a member at '${base}', ${target}`, { members: [{ url: `http://A${base}` }] }, ask(head(`GET ${target}`)), {
    routes: [{ path: '/p/', upstream: 'balancer://x/' }, { path: '/q', upstream: 'balancer://x' }]
  }, says(ok())[0])))

export const balancers: readonly Scenario[] = [...inTurn, ...sessions, ...failures, ...letters, ...sets, ...busyness, ...joined]
