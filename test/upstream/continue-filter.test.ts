import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { ContinueFilter } from '../../lib/upstream/continue-filter.ts'

const go = 'HTTP/1.1 100 Continue\r\n\r\n'
const hint = 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n'
const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const switching = 'HTTP/1.1 101 Switching Protocols\r\n\r\n'

/** What a reader gets that comes after the filter, when these pieces come one by one; `undefined` begins another request. */
async function read (...pieces: Array<string | undefined>): Promise<string> {
  const stream = new Readable({ read () {} })
  const continues = new ContinueFilter()
  continues.watch(stream)
  continues.expect()
  let text = ''
  stream.on('readable', () => {
    for (let chunk = stream.read(); chunk !== null; chunk = stream.read()) text += (chunk as Buffer).toString('latin1')
  })
  for (const piece of pieces) {
    if (piece === undefined) continues.expect()
    else {
      stream.push(Buffer.from(piece, 'latin1'))
      await new Promise(setImmediate)
    }
  }
  return text
}

for (const [what, pieces, expected] of [
  ['a 100 before a response is taken out', [go + ok], ok],
  ['a 100 that comes by itself is, too', [go, ok], ok],
  ['two of them are', [go + go + ok], ok],
  ['one with fields is', [`HTTP/1.0 100 Go on\r\nX: 1\r\n\r\n${ok}`], ok],
  ['one that comes byte by byte is', [...(go + ok)], ok],
  ['one that comes in two pieces is', [go.slice(0, 10), go.slice(10) + ok], ok],
  ['other interim responses pass', [hint + go + hint + go + ok], hint + hint + ok],
  ['a response without one passes as it is', [ok], ok],
  ['so does one in pieces', [ok.slice(0, 11), ok.slice(11, 30), ok.slice(30)], ok],
  ['a 101 is not waited for', [switching.slice(0, 20)], switching.slice(0, 20)],
  ['bytes that are no HTTP pass at once', ['SSH', '-2.0'], 'SSH-2.0'],
  ['a 100 in a body is a part of the body', [ok, go], ok + go],
  ['so is one that comes with it', [ok + go], ok + go],
  ['each request has its own', [go + ok, undefined, go + ok], ok + ok],
  ['the ninth is for others to refuse', [go.repeat(9) + ok], go + ok],
  [
    'the length of a 304 is taken out',
    ['HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: "x"\r\n\r\n'],
    'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\n\r\n'
  ],
  ['that of a 204 is, byte by byte', [...'HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n'], 'HTTP/1.1 204 No Content\r\n\r\n'],
  ['that of a 205 is not', ['HTTP/1.1 205 X\r\nContent-Length: 0\r\n\r\n'], 'HTTP/1.1 205 X\r\nContent-Length: 0\r\n\r\n'],
  [
    'what comes behind a 304 is not looked at',
    ['HTTP/1.1 304 X\r\nContent-Length: 5\r\n\r\nHTTP/1.1 304 X\r\nContent-Length: 5\r\n\r\n'],
    'HTTP/1.1 304 X\r\n\r\nHTTP/1.1 304 X\r\nContent-Length: 5\r\n\r\n'
  ],
  ['1000 is none', [`HTTP/1.1 1000 X\r\n\r\n${ok}`], `HTTP/1.1 1000 X\r\n\r\n${ok}`],
  ['nor is 100X', [`HTTP/1.1 100X\r\n\r\n${ok}`], `HTTP/1.1 100X\r\n\r\n${ok}`],
  ['one without a reason is', [`HTTP/1.1 100\r\n\r\n${ok}`], ok],
  ['a head that is malformed is for others to refuse', [`HTTP/1.1 100 X\nHTTP/1.1 200 OK\r\n\r\n${ok}`], `HTTP/1.1 100 X\nHTTP/1.1 200 OK\r\n\r\n${ok}`],
  ['so is one with a field that is none', [`HTTP/1.1 100 X\r\nX : 1\r\n\r\n${ok}`], `HTTP/1.1 100 X\r\nX : 1\r\n\r\n${ok}`],
  ['a head without an end is not kept for ever', [`HTTP/1.1 100 ${'x'.repeat(20_000)}`], `HTTP/1.1 100 ${'x'.repeat(20_000)}`]
] as Array<[string, Array<string | undefined>, string]>) {
  test(what, async () => {
    assert.equal(await read(...pieces), expected)
  })
}
