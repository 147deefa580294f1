/**
 * The part of the page's script that does not use the document: numbers as text, the page's history, rates, quantiles and the lines of
 * charts. JavaScript; the tests check its JSDoc types and run it.
 */
export const calculations: string = String.raw`
/** How far back charts go, in milliseconds. */
const WINDOW = 300000
/** Charts begin with less, and grow. */
const SHORTEST_WINDOW = 60000
/** A longer silence than this is a gap in a chart: the page was hidden, or the server did not answer. */
const LONGEST_GAP = 15000

/** @param {number} value @returns {string} */
function count (value) {
  if (value >= 1e9) return trim(value / 1e9) + ' G'
  if (value >= 1e6) return trim(value / 1e6) + ' M'
  if (value >= 1e5) return trim(value / 1e3) + ' k'
  return Math.round(value).toLocaleString('en')
}

/** @param {number} value @returns {string} */
function bytes (value) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
  let unit = 0
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return (unit === 0 ? Math.round(value) : trim(value)) + ' ' + units[unit]
}

/** @param {number} value for each second @returns {string} */
function perSecond (value) {
  return (value >= 100 ? count(value) : trim(value)) + '/s'
}

/** Three digits at most. @param {number} value @returns {string} */
function trim (value) {
  return String(Number(value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2)))
}

/** @param {number} ms @returns {string} */
function duration (ms) {
  if (ms < 1000) return trim(ms) + ' ms'
  const seconds = ms / 1000
  if (seconds < 60) return trim(seconds < 10 ? seconds : Math.floor(seconds)) + ' s'
  if (seconds < 3600) return Math.floor(seconds / 60) + ' min ' + Math.floor(seconds % 60) + ' s'
  if (seconds < 86400) return Math.floor(seconds / 3600) + ' h ' + Math.floor(seconds / 60 % 60) + ' min'
  return Math.floor(seconds / 86400) + ' d ' + Math.floor(seconds / 3600 % 24) + ' h'
}

/** A stable way to say how large a part is. @param {number} part @param {number} whole @returns {string} */
function percent (part, whole) {
  if (whole === 0) return '0 %'
  const value = part / whole * 100
  return (value > 0 && value < 1 ? '< 1' : value > 99 && value < 100 ? '> 99' : String(Math.round(value))) + ' %'
}

/** @param {Object<string, number>} values @returns {number} */
function sum (values) {
  return Object.values(values).reduce((total, value) => total + value, 0)
}

/**
 * What charts and rates are made of: one entry for each answer, as old as the window at most. A server that has been restarted
 * begins anew.
 * @param {Sample[]} history @param {Sample} sample @returns {Sample[]}
 */
function remember (history, sample) {
  const last = history[history.length - 1]
  if (last !== undefined && (sample.uptime < last.uptime || sample.at < last.at)) history = []
  else if (last !== undefined && sample.at === last.at) return history
  return history.filter(({ at }) => at >= sample.at - WINDOW - LONGEST_GAP).concat(sample)
}

/** How fast a counter goes. @param {number | undefined} before @param {number} now @param {number} ms @returns {number} */
function rate (before, now, ms) {
  return before === undefined || ms <= 0 ? 0 : Math.max(0, now - before) * 1000 / ms
}

/**
 * A gauge or the rate of a counter at each entry but the first; null where there is a gap.
 * @param {Sample[]} history @param {(sample: Sample) => number} read @param {boolean} isCounter
 * @returns {Point[]}
 */
function series (history, read, isCounter) {
  return history.map((sample, i) => {
    const before = history[i - 1]
    const far = before === undefined || sample.at - before.at > LONGEST_GAP
    if (!isCounter) return { at: sample.at, value: read(sample), isStart: far }
    return { at: sample.at, value: before === undefined ? null : rate(read(before), read(sample), sample.at - before.at), isStart: far }
  })
}

/** The axis of time: what the history covers, within bounds. @param {Sample[]} history @returns {{ end: number, span: number }} */
function timeOf (history) {
  const end = history[history.length - 1]?.at ?? 0
  return { end, span: Math.min(WINDOW, Math.max(SHORTEST_WINDOW, end - (history[0]?.at ?? end))) }
}

/** The end of the other axis: a round number that nothing is above. @param {number} largest @returns {number} */
function roundUp (largest) {
  if (largest <= 0) return 1
  const power = Math.pow(10, Math.floor(Math.log10(largest)))
  return [1, 2, 2.5, 5, 10].map((step) => step * power).find((step) => step >= largest) || 10 * power
}

/**
 * The lines of a chart in a box of this size, and the same lines closed at the bottom.
 * @param {Point[]} points @param {{ end: number, span: number }} time the axis of time, in milliseconds
 * @param {number} top of the other axis @param {number} width @param {number} height
 * @returns {{ line: string, area: string }}
 */
function paths (points, { end, span }, top, width, height) {
  /** @type {string[][]} */
  const pieces = []
  for (const { at, value, isStart } of points) {
    if (value === null) continue
    const x = width - (end - at) / span * width
    const y = height - Math.min(1, value / top) * (height - 3) - 1
    if (isStart || pieces.length === 0) pieces.push([])
    pieces[pieces.length - 1]?.push(x.toFixed(1) + ' ' + y.toFixed(1))
  }
  const line = pieces.map((piece) => 'M' + piece.join('L')).join('')
  const area = pieces.map((piece) => 'M' + (piece[0] || '').split(' ')[0] + ' ' + height + 'L' + piece.join('L') +
    'L' + (piece[piece.length - 1] || '').split(' ')[0] + ' ' + height + 'Z').join('')
  return { line, area }
}

/**
 * The bound that this share of the values between two readings of a histogram does not exceed.
 * @param {Histogram | undefined} before @param {Histogram} now @param {number} share
 * @returns {number | undefined} Infinity: above the last bound; undefined: there was no value
 */
function quantile (before, now, share) {
  const total = now.count - (before === undefined ? 0 : before.count)
  if (total <= 0) return undefined
  const bucket = now.buckets.find(({ count }, i) => count - (before?.buckets[i]?.count ?? 0) >= total * share)
  return bucket === undefined ? Infinity : bucket.le
}

/** Members in trouble first, then by how much they carry. @param {Member[]} members @returns {Member[]} */
function byTrouble (members) {
  const order = ['error', 'unhealthy', 'draining', 'up', 'disabled', 'stopped']
  return members.slice().sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state) || b.busy - a.busy || b.elected - a.elected)
}
`
