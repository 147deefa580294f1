/** The script's functions for parts of the page: elements, rows, bars, and tiles with their charts. JavaScript. */
export const parts: string = String.raw`
const SVG = 'http://www.w3.org/2000/svg'
const WIDTH = 300
const HEIGHT = 60

/** @param {string} id @returns {HTMLElement} */
function byId (id) {
  const found = document.getElementById(id)
  if (found === null) throw new Error('no element ' + id)
  return found
}

/** @param {string} name @param {string} [className] @param {...(Node | string)} children @returns {HTMLElement} */
function element (name, className, ...children) {
  const made = document.createElement(name)
  if (className) made.className = className
  made.append(...children)
  return made
}

/** @param {string} name @param {Object<string, string | number>} attributes @param {...Node} children @returns {SVGElement} */
function drawing (name, attributes, ...children) {
  const made = /** @type {SVGElement} */ (document.createElementNS(SVG, name))
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value))
  made.append(...children)
  return made
}

/** Changes a text only where it is another: nothing is laid out for what stays. @param {Node} node @param {string} text */
function write (node, text) {
  if (node.textContent !== text) node.textContent = text
}

/** @param {Element} node @param {string} name @param {string} value */
function set (node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value)
}

/**
 * Keeps one child for each item, in their order, and moves only what has another place.
 * @template Item
 * @param {Element} parent @param {Item[]} items @param {(item: Item) => string} keyOf
 * @param {(item: Item) => Element} make @param {(child: Element, item: Item) => void} update
 */
function keep (parent, items, keyOf, make, update) {
  const known = new Map(Array.from(parent.children, (child) => [child.getAttribute('data-key') || '', child]))
  let next = parent.firstElementChild
  for (const item of items) {
    const key = keyOf(item)
    let child = known.get(key)
    if (child === undefined) {
      child = make(item)
      child.setAttribute('data-key', key)
    }
    known.delete(key)
    if (child === next) next = next.nextElementSibling
    else parent.insertBefore(child, next)
    update(child, item)
  }
  for (const gone of known.values()) gone.remove()
}

/** A row of empty cells, labelled as the table's head is. @param {HTMLElement} table @returns {HTMLElement} */
function row (table) {
  const heads = Array.from(table.querySelectorAll('th'))
  const made = element('tr')
  for (const head of heads) {
    const cell = element('td', head.className)
    cell.setAttribute('data-label', (head.textContent || '').trim())
    made.append(cell)
  }
  return made
}

/** @param {Element} made a row @param {string[]} texts of its cells, from the left */
function fill (made, texts) {
  texts.forEach((text, i) => fillCell(made.children[i], text))
}

/** A number that is nothing is pale. @param {Element | undefined} cell @param {string} text */
function fillCell (cell, text) {
  if (cell === undefined) return
  write(cell, text)
  cell.classList.toggle('zero', cell.classList.contains('n') && (text === '–' || /^0($|\D)/.test(text) && !/^0[.,]/.test(text)))
}

/** A state in words and colour. @param {string} word @param {string} tone @returns {HTMLElement} */
function dot (word, tone) {
  const made = element('span', 'dot', word)
  made.setAttribute('data-tone', tone)
  return made
}

/** A part of a whole, drawn. @param {string} className @returns {SVGElement} */
function meter (className) {
  return drawing('svg', { class: className, viewBox: '0 0 100 4', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    drawing('rect', { width: 100, height: 4, rx: 2 }), drawing('rect', { class: 'full', width: 0, height: 4, rx: 2 }))
}

/** @param {Element | null | undefined} made @param {number} part from 0 to 1 */
function setMeter (made, part) {
  const full = made?.querySelector('.full')
  if (full) set(full, 'width', (part * 100).toFixed(1))
}

/** A list of named numbers, the largest first, each with its share. @param {string} id @param {Object<string, number>} values @param {boolean} hideZeros */
function bars (id, values, hideZeros) {
  const total = sum(values)
  let entries = Object.entries(values)
  if (hideZeros) entries = entries.filter(([, value]) => value > 0).sort(([, a], [, b]) => b - a)
  write(byId(id + '-note'), count(total) + ' since the start')
  keep(byId(id), entries, ([name]) => name, ([name]) => {
    return element('li', '', element('span', '', name.replace(/_/g, ' ')), element('span'), meter('meter'))
  }, (item, [, value]) => {
    const text = item.children[1]
    if (text) write(text, count(value) + (value === 0 ? '' : ' · ' + percent(value, total)))
    setMeter(item.children[2], total === 0 ? 0 : value / total)
  })
}

/** The values of a chart in one line, the unit behind the last. @param {string[]} values */
const joined = (values) => values.join(' · ').replace(/\/s ·/g, ' ·')

/**
 * A number with its chart. Under the pointer it shows what was then.
 * @param {TileOptions} options @returns {{ node: HTMLElement, show: (history: Sample[], note: string) => void }}
 */
function tile ({ label, lines, isCounter, format }) {
  const value = element('dd', 'value', '–')
  const note = element('dd', 'note')
  const cursor = drawing('line', { y1: 0, y2: HEIGHT, visibility: 'hidden' })
  const shapes = lines.map((_, i) => ({ area: drawing('path', { class: 'area' }), line: drawing('path', { class: i === 0 ? 'first' : 'second' }) }))
  const chart = drawing('svg', { class: 'chart', viewBox: '0 0 ' + WIDTH + ' ' + HEIGHT, preserveAspectRatio: 'none', role: 'img' },
    ...shapes.flatMap(({ area, line }, i) => i === 0 ? [area, line] : [line]), cursor)
  const node = element('dl', 'tile', element('dt', '', label), value, note, chart)
  node.setAttribute('data-tile', label)
  /** @type {Point[][]} */
  let shown = []
  let time = { end: 0, span: 1 }
  let latest = { value: '–', note: '' }
  /** @type {number | undefined} */
  let pointed

  function showText () {
    let text = latest
    if (pointed !== undefined) {
      const at = time.end - (1 - pointed) * time.span
      const points = shown.map((each) => nearest(each, at))
      const first = points[0]
      if (first) text = { value: joined(points.map((point) => format(point?.value ?? 0))), note: new Date(first.at).toLocaleTimeString() }
    }
    write(value, text.value)
    write(note, text.note)
    set(cursor, 'visibility', pointed === undefined ? 'hidden' : 'visible')
    if (pointed !== undefined) for (const name of ['x1', 'x2']) set(cursor, name, (pointed * WIDTH).toFixed(1))
  }
  chart.addEventListener('pointermove', (event) => {
    const box = chart.getBoundingClientRect()
    pointed = Math.min(1, Math.max(0, (/** @type {PointerEvent} */ (event).clientX - box.left) / box.width))
    showText()
  })
  chart.addEventListener('pointerleave', () => {
    pointed = undefined
    showText()
  })
  return {
    node,
    show (history, words) {
      shown = lines.map((read) => series(history, read, isCounter))
      time = timeOf(history)
      const top = roundUp(Math.max(...shown.flat().map((point) => point.value ?? 0)))
      shown.forEach((points, i) => {
        const drawn = paths(points, time, top, WIDTH, HEIGHT)
        const shape = shapes[i]
        if (!shape) return
        set(shape.line, 'd', drawn.line)
        set(shape.area, 'd', drawn.area)
      })
      const last = shown.map((points) => points[points.length - 1]?.value ?? undefined)
      const text = joined(last.map((each) => each === undefined ? '–' : format(each)))
      set(chart, 'aria-label', label + ' over the last minutes, at most ' + format(top) + '; now ' + text)
      latest = { value: text, note: words }
      showText()
    }
  }
}

/** @param {number} value @returns {string} */
function bytesPerSecond (value) {
  return bytes(value) + '/s'
}

/** @param {Point[]} points @param {number} at @returns {Point | undefined} */
function nearest (points, at) {
  let best
  for (const point of points) if (point.value !== null && (best === undefined || Math.abs(point.at - at) < Math.abs(best.at - at))) best = point
  return best
}
`
