// What every proxy under test does besides proxying. Plain JavaScript, so that its process is Node and nothing else.

/**
 * What it was told: `{ address, upstream: { host, port }, tls?: { key, cert, ca }, workers? }`. With `tls`, both legs are.
 */
export const setting = JSON.parse(process.argv[2])

/** The upstream's URL, with `ws` or `http` as the scheme of a plain one. */
export function upstreamUrl (scheme) {
  const { upstream: { host, port }, tls } = setting
  return `${scheme}${tls === undefined ? '' : 's'}://${host}:${port}`
}

/** Says where it listens, and from then on collects its garbage when it is asked to. */
export function ready (port) {
  process.send({ port })
}

process.on('message', (message) => {
  if (message !== 'collect') return
  collect()
})
process.on('disconnect', () => process.exit())

async function collect () {
  for (let i = 0; i < 4; i++) {
    globalThis.gc()
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  process.send('collected')
}
