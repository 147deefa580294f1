import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { calculations } from '../../lib/status/page-calculations.ts'
import { script, securityPolicy, writePage } from '../../lib/status/page.ts'

test('the script is sound by its types', () => {
  const types = fileURLToPath(new URL('client-types.d.ts', import.meta.url))
  const host = ts.createCompilerHost({})
  const { readFile, fileExists, getSourceFile } = host
  host.fileExists = (file) => file === '/page.js' || fileExists(file)
  host.readFile = (file) => file === '/page.js' ? script : readFile(file)
  host.getSourceFile = (file, options) => file === '/page.js' ? ts.createSourceFile(file, script, options) : getSourceFile(file, options)
  const program = ts.createProgram(['/page.js', types], {
    allowJs: true,
    checkJs: true,
    noEmit: true,
    strict: true,
    noUncheckedIndexedAccess: true,
    noUnusedLocals: true,
    types: [],
    target: ts.ScriptTarget.ES2022,
    lib: ['lib.es2023.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts']
  }, host)
  const found = ts.getPreEmitDiagnostics(program).map(({ messageText, file, start }) => {
    const line = file === undefined || start === undefined ? '' : file.text.split('\n')[file.getLineAndCharacterOfPosition(start).line]
    return `${ts.flattenDiagnosticMessageText(messageText, ' ')}: ${line}`
  })
  assert.deepEqual(found, [])
})

test('the page has nothing from elsewhere, writes no markup, and is one file', () => {
  const page = writePage('n')
  assert.doesNotMatch(page.replaceAll('http://www.w3.org/2000/svg', ''), /https?:\/\/|\/\/[a-z]|@import|url\(/i)
  assert.doesNotMatch(script, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|<\/script/)
  assert.doesNotMatch(page, / style="| on\w+="/)
  assert.match(securityPolicy, /^default-src 'none'; script-src 'sha256-[\w+/]{43}='; style-src 'sha256-[\w+/]{43}='/)
  assert.equal(writePage(undefined).includes('wstunnel-nonce" content'), false)
  assert.ok(page.length < 64 * 1024, `${page.length} bytes`)
})

interface Calculations {
  count: (value: number) => string
  bytes: (value: number) => string
  perSecond: (value: number) => string
  duration: (ms: number) => string
  percent: (part: number, whole: number) => string
  remember: (history: Sample[], sample: Sample) => Sample[]
  rate: (before: number | undefined, now: number, ms: number) => number
  series: (history: Sample[], read: (sample: Sample) => number, isCounter: boolean) => Point[]
  timeOf: (history: Sample[]) => { end: number, span: number }
  roundUp: (largest: number) => number
  paths: (points: Point[], time: { end: number, span: number }, top: number, width: number, height: number) => { line: string, area: string }
  quantile: (before: Histogram | undefined, now: Histogram, share: number) => number | undefined
  byTrouble: (members: Member[]) => Member[]
}

const names = ['count', 'bytes', 'perSecond', 'duration', 'percent', 'remember', 'rate', 'series', 'timeOf', 'roundUp', 'paths', 'quantile', 'byTrouble']
// The very text that the page runs.
// eslint-disable-next-line no-new-func
const page = new Function(`'use strict'\n${calculations}\nreturn { ${names.join()} }`)() as Calculations

function sample (at: number, opened: number, uptime: number = at): Sample {
  return { at, uptime, tunnels: { opened } } as Sample
}

describe('the calculations of the page', () => {
  test('say numbers shortly', () => {
    assert.deepEqual([0, 999, 12_345, 123_456, 1_234_567, 2.5e9].map(page.count), ['0', '999', '12,345', '123 k', '1.23 M', '2.5 G'])
    assert.deepEqual([0, 1000, 1536, 1024 ** 2 - 1, 5 * 1024 ** 3].map(page.bytes), ['0 B', '0.98 KiB', '1.5 KiB', '1 MiB', '5 GiB'])
    assert.deepEqual([0, 0.25, 12.34, 1234].map(page.perSecond), ['0/s', '0.25/s', '12.3/s', '1,234/s'])
    assert.deepEqual([0.5, 250, 1500, 59_900, 61_000, 3_660_000, 90_000_000].map(page.duration),
      ['0.5 ms', '250 ms', '1.5 s', '59 s', '1 min 1 s', '1 h 1 min', '1 d 1 h'])
    assert.deepEqual(
      [[0, 0], [1, 1000], [1, 2], [999, 1000], [5, 5]].map(([part, whole]) => page.percent(part!, whole!)),
      ['0 %', '< 1 %', '50 %', '> 99 %', '100 %']
    )
  })

  test('keep five minutes, and begin anew with a server that was restarted', () => {
    let history: Sample[] = []
    for (let at = 0; at <= 400_000; at += 2000) history = page.remember(history, sample(at, at))
    assert.ok(history.length > 150 && history.length < 165, String(history.length))
    assert.equal(page.remember(history, sample(400_000, 1)), history, 'the same snapshot is not another entry')
    assert.equal(page.remember(history, sample(402_000, 0, 5)).length, 1)
  })

  test('make rates of counters, and leave gaps open', () => {
    const history = [sample(0, 10), sample(2000, 30), sample(4000, 30), sample(60_000, 90)]
    const points = page.series(history, ({ tunnels }) => tunnels.opened, true)
    assert.deepEqual(points.map(({ value }) => value), [null, 10, 0, 60 * 1000 / 56_000])
    assert.equal(page.rate(undefined, 5, 1000), 0)
    assert.equal(page.rate(9, 5, 1000), 0, 'a counter that went back')
    const { line, area } = page.paths(points, { end: 60_000, span: 300_000 }, page.roundUp(10), 300, 60)
    assert.equal(line.match(/M/g)?.length, 2, line)
    assert.equal(area.match(/Z/g)?.length, 2, area)
    assert.match(line, /^M242\.0 2\.0L244\.0 59\.0M300\.0 /)
  })

  test('let a chart grow from one minute to five', () => {
    const spans = [[0], [0, 2000], [0, 90_000], [0, 400_000]].map((times) => page.timeOf(times.map((at) => sample(at, 0))).span)
    assert.deepEqual(spans, [60_000, 60_000, 90_000, 300_000])
  })

  test('round an axis up', () => {
    assert.deepEqual([0, 0.3, 1, 1.2, 2.2, 4, 7, 10, 11, 999].map(page.roundUp), [1, 0.5, 1, 2, 2.5, 5, 10, 10, 20, 1000])
  })

  test('read quantiles of what came between two readings', () => {
    const histogram = (counts: number[], count: number): Histogram => ({ count, sum: 0, buckets: counts.map((count, i) => ({ le: 10 ** i, count })) })
    const before = histogram([5, 5, 5], 5)
    assert.equal(page.quantile(before, histogram([5, 9, 15], 15), 0.5), 100)
    assert.equal(page.quantile(before, histogram([5, 10, 15], 15), 0.5), 10)
    assert.equal(page.quantile(undefined, histogram([5, 10, 15], 15), 0.2), 1)
    assert.equal(page.quantile(before, histogram([5, 5, 5], 15), 0.5), Infinity)
    assert.equal(page.quantile(before, before, 0.5), undefined)
  })

  test('put members in trouble first', () => {
    const members = ['up', 'stopped', 'draining', 'up', 'error'].map((state, i) => ({ url: String(i), state, busy: i, elected: 0 } as Member))
    assert.deepEqual(page.byTrouble(members).map(({ url }) => url), ['4', '2', '3', '0', '1'])
    assert.equal(members[0]!.url, '0', 'the answer itself is left as it is')
  })
})
