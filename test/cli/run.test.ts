import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { WebSocket } from 'ws'
import type { FastifyInstance } from 'fastify'
import { run } from '../../lib/cli/run.ts'
import type { Terminal } from '../../lib/cli/run.ts'
import { freePorts } from '../conformance/httpd.ts'
import { cleanup } from '../fixtures/cleanup.ts'
import { startWsUpstream } from '../fixtures/upstream.ts'
import { event, within } from '../fixtures/wait.ts'

interface Said {
  code: number
  out: string
  error: string
}

async function said (args: string[], more: Partial<Terminal> = {}): Promise<Said> {
  const all = { out: '', error: '' }
  const code = await run(args, {
    out: (text) => { all.out += text },
    error: (text) => { all.error += text },
    onEnd: () => () => {},
    ...more
  })
  return { code, ...all }
}

/** Files in a directory of their own; their paths. */
function files (t: TestContext, contents: Record<string, string>): string[] {
  const directory = mkdtempSync(join(tmpdir(), 'cli-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  return Object.entries(contents).map(([name, text]) => {
    writeFileSync(join(directory, name), text)
    return join(directory, name)
  })
}

describe('usage', () => {
  test('is printed on a screen', async () => {
    const { code, out } = await said(['--help'])
    assert.equal(code, 0)
    const lines = out.trimEnd().split('\n')
    assert.ok(lines.length <= 24 && lines.every((line) => line.length <= 80), out)
  })

  for (const [args, faults] of [
    [[], ['expected an upstream, such as ws://127.0.0.1:4000; see --help']],
    [['x', '--port', '70000'], ["--port: expected a number up to 65535, got '70000'", "'x': expected [PATH=]UPSTREAM, such as /ws/=ws://127.0.0.1:4000/"]],
    [['http://h', '--config', 'x.js'], ['expected one of: upstreams, --httpd-conf, --config']],
    [['http://h', '--any-host'], ['--any-host: expected --httpd-conf beside it']],
    [['--config', 'x.js', '--print'], ['--print: expected upstreams or --httpd-conf; a configuration has functions that cannot be printed']],
    [['http://h', '--print', '--check'], ['expected one of: --print, --check']],
    [['--what'], ["Unknown option '--what'"]],
    [['http://h', '--port', '-1'], ["Option '--port' argument is ambiguous"]],
    [['http://h', '--host'], ["Option '--host <value>' argument missing"]],
    [['http://h', '--check=yes'], ["Option '--check' does not take an argument"]],
    [['http://h', '--status=wstunnel'], ["--status: expected a path, such as /wstunnel, got 'wstunnel'"]],
    [['http://h', '--status', '/'], ["--status: expected a path, such as /wstunnel, got '/'"]],
    [
      ['', 'ftp://h'],
      ["'': expected [PATH=]UPSTREAM, such as /ws/=ws://127.0.0.1:4000/", "'ftp://h': expected [PATH=]UPSTREAM, such as /ws/=ws://127.0.0.1:4000/"]
    ],
    [['/a b=http://h'], ["routes[0].path: expected a path prefix such as '/ws/', without wildcards, query or dot segments, got '/a b'"]],
    [['http://h', '--config', '/nowhere/x.json'].slice(1), ['/nowhere/x.json: no such file']],
    [['--httpd-conf', '/nowhere/x.conf'], ['/nowhere/x.conf: no such file']],
    [['http://h', '--print', '--timeout', 'x'], ["timeout: expected a duration such as '30s', got 'x'"]],
    [
      ['http://h', '--timeout', '5', '--idle-timeout', 'x'],
      ["idleTimeout: expected a duration such as '30s', got 'x'", "timeout: expected a duration such as '30s', got '5', did you mean '5s', or '5ms'?"]
    ]
  ] as const) {
    test(`of '${args.join(' ')}' is a line for each fault, and ends with 2`, async () => {
      const { code, error, out } = await said([...args])
      assert.deepEqual(
        { code, out, lines: error.trimEnd().split('\n').sort() },
        { code: 2, out: '', lines: faults.map((fault) => `fastify-wstunnel: ${fault}`).sort() }
      )
    })
  }
})

describe('--check', () => {
  test('is 0 where all is fine', async () => {
    assert.deepEqual(await said(['/a/=ws://127.0.0.1:9/', '/b=!', 'http://127.0.0.1:9', '--check', '--preserve-host']), { code: 0, out: 'fine\n', error: '' })
  })

  test('is 1 where an option is bad', async () => {
    assert.deepEqual(await said(['http://h:99999', '--check']), {
      code: 1,
      out: '',
      error: 'fastify-wstunnel: routes[0].upstream: expected a ws:, wss:, http: or https: URL without credentials, query and fragment, ' +
        "or unix:/path|URL, or balancer://name/path, a function, or false, got 'http://h:99999' (a port is at most 65535)\n"
    })
  })

  test('is 1 where a line is not translated, and every note has its place', async (t) => {
    const [bad = '', good = ''] = files(t, { 'bad.conf': 'ProxyPass / http://h/\nDefine X\n', 'good.conf': 'ProxyPass / http://h/\n' })
    assert.deepEqual(await said(['--httpd-conf', bad, '--check']), {
      code: 1,
      out: 'parts of it are not translated\n',
      error: `${bad}:2: error: Define: not translated: write the value of a variable in its place\n`
    })
    assert.deepEqual(await said(['--httpd-conf', good, '--check']), { code: 0, out: 'fine\n', error: '' })
  })
})

describe('files', () => {
  test('of options may be JSON or a module', async (t) => {
    const names = files(t, {
      'a.json': '{ "upstream": "ws://127.0.0.1:9/" }',
      'a.mjs': "export default { upstream: 'ws://127.0.0.1:9/', rewriteHeaders: (headers) => headers }"
    })
    for (const name of names) assert.deepEqual(await said(['--config', name, '--check']), { code: 0, out: 'fine\n', error: '' }, name)
  })

  test('that are bad are told with their line', async (t) => {
    const [json = '', list = '', module = '', conf = ''] = files(t, {
      'a.json': '{\n  "upstream":\n}',
      'b.json': '[]',
      'a.mjs': 'export default {',
      'a.conf': 'ProxyPass / ajp://h/'
    })
    assert.match((await said(['--config', json])).error, /a\.json:3: /)
    assert.match((await said(['--config', list])).error, /b\.json: expected the plugin's options/)
    assert.match((await said(['--config', module])).error, /a\.mjs: /)
    const { code, error } = await said(['--httpd-conf', conf])
    assert.equal(code, 2)
    assert.match(error, /a\.conf:1: error: ProxyPass: not translated: the scheme ajp:, for which there is no upstream here\n.*nothing in it can be served\n$/s)
  })

  test('of httpd are printed as a plugin; --any-host leaves the constraints out, and keeps the balancers', async (t) => {
    const [conf = ''] = files(t, {
      'site.conf': '<VirtualHost *:80>\nServerName a.example\nBalancerMember balancer://p ws://h\nProxyPass / balancer://p/\n</VirtualHost>\n'
    })
    assert.equal((await said(['--httpd-conf', conf, '--print'])).out.match(/constraints: /g)?.length, 1)
    const { code, out } = await said(['--httpd-conf', conf, '--print', '--any-host'])
    assert.deepEqual([code, out.includes('constraints'), out.match(/await app\.register/g)?.length, /members: \[/.test(out)], [0, false, 1, true])
  })
})

describe('--any-host', () => {
  const conf = `<VirtualHost *:80>
ServerName first.example
Redirect / https://second.example/
</VirtualHost>
<VirtualHost *:80>
ServerName second.example
ProxyPass / http://second/
</VirtualHost>
<VirtualHost *:80>
ServerName third.example
ProxyPass / http://third/
</VirtualHost>
`

  test('serves the first host that is proxied where the first of all is not, and says which are left out', async (t) => {
    const [file = ''] = files(t, { 'site.conf': conf })
    const { out } = await said(['--httpd-conf', file, '--any-host', '--print'])
    assert.match(out, /upstream: 'http:\/\/second\/'/)
    assert.doesNotMatch(out, /third|constraints/)
    const { error, code } = await said(['--httpd-conf', file, '--any-host', '--check'])
    assert.ok(error.includes(`${file}: line 5 serves every host; left out: the virtual host of line 9\n`), error)
    assert.equal(code, 1)
  })
})

describe('--status', () => {
  test('is part of the module that is printed', async () => {
    assert.doesNotMatch((await said(['http://h', '--print'])).out, /status/)
    const { out } = await said(['--print', '--status', 'http://h'])
    assert.match(out, /^import status from 'fastify-wstunnel\/status'$/m)
    assert.match(out, /await app\.register\(status, \{ prefix: '\/wstunnel' \}\)\n\}\n$/)
    assert.match((await said(['http://h', '--print', '--status', '/a/b/'])).out, /prefix: '\/a\/b'/)
    assert.match((await said(['--status', '/x=http://h', '--print'])).out, /prefix: '\/wstunnel'[^]*$/)
    assert.match((await said(['--status=/s', '/x=http://h', '--print'])).out, /path: '\/x'[^]*prefix: '\/s'/)
  })

  test('stands beside entries that cover its path', async () => {
    for (const route of ['http://h', '/wstunnel/=http://h', '/wstunnel=!', '/wstunnel=ws://h']) {
      assert.deepEqual(await said([route, '--status', '--check']), { code: 0, out: 'fine\n', error: '' }, route)
    }
  })
})

describe('Fastify', () => {
  test('that is not installed is one sentence with the command', async () => {
    const missing = Object.assign(new Error('not found'), { code: 'ERR_MODULE_NOT_FOUND' })
    assert.deepEqual(await said(['http://h'], { fastify: async () => { throw missing } }),
      { code: 2, out: '', error: 'fastify-wstunnel: this needs Fastify 5, at least 5.8.5, which is not installed: npm install fastify@5\n' })
  })

  for (const [version, fine] of [
    ['4.29.1', false], ['5.8.4', false], ['5.7.9', false], ['6.0.0', false], ['5.8.5', true], ['5.12.0', true], ['5.9.0-rc.1', true]
  ] as const) {
    test(`${version} is ${fine ? 'taken' : 'refused'}`, async () => {
      const real = await import('fastify')
      const fastify: Terminal['fastify'] = async () =>
        ({ default: (options) => Object.defineProperty(real.default(options) as FastifyInstance, 'version', { value: version }) })
      const { code, error } = await said(['http://h', '--check'], { fastify })
      assert.deepEqual(
        [code, error],
        fine ? [0, ''] : [2, `fastify-wstunnel: this needs Fastify 5, at least 5.8.5, and ${version} is installed: npm install fastify@5\n`]
      )
    })
  }
})

describe('serving', () => {
  /** Starts the program; resolves once it listens. */
  async function start (t: TestContext, args: string[]): Promise<{ port: number, ended: Promise<unknown[]>, kill: (signal: NodeJS.Signals) => void }> {
    const child = spawn(
      process.execPath,
      ['--import', 'tsx', fileURLToPath(new URL('../../lib/cli/main.ts', import.meta.url)), ...args, '--port', '0'],
      { stdio: ['ignore', 'pipe', 'pipe'] }
    )
    const ended = once(child, 'exit')
    cleanup(t, 'proxies', async () => {
      child.kill('SIGKILL')
      await ended
    })
    let log = ''
    const listening = new Promise<number>((resolve, reject) => {
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        log += text
        const port = /Server listening at http:\/\/127\.0\.0\.1:(\d+)/.exec(log)?.[1]
        if (port !== undefined) resolve(Number(port))
      })
      child.stderr.setEncoding('utf8').on('data', (text: string) => { log += text })
      child.once('exit', () => reject(new Error(log)))
    })
    return { port: await within(listening, () => `the program to listen: ${log}`, 60_000), ended, kill: (signal) => child.kill(signal) }
  }

  test('tunnels, forwards, excludes, and drains on SIGTERM', async (t) => {
    const upstream = await startWsUpstream(t, { http: (request, response) => response.end(`plain ${request.url}`) })
    const { port, ended, kill } = await start(t, [`/app/=${upstream.url}/in/`, '/app/private=!', upstream.httpUrl])
    assert.equal(await (await fetch(`http://127.0.0.1:${port}/x`)).text(), 'plain /x')
    assert.equal(await (await fetch(`http://127.0.0.1:${port}/app/x`)).text(), 'plain /in/x')
    const socket = new WebSocket(`ws://127.0.0.1:${port}/app/chat`)
    cleanup(t, 'connections', () => socket.terminate())
    await event(socket, 'open')
    socket.send('hello')
    const [message] = await event<[Buffer]>(socket, 'message')
    assert.equal(String(message), 'hello')
    const closed = event<[number]>(socket, 'close', 30_000)
    kill('SIGTERM')
    assert.equal((await closed)[0], 1001)
    assert.deepEqual(await within(ended, 'the program to end', 30_000), [0, null])
  })

  test('has the status page where --status says, and not without', async (t) => {
    const upstream = await startWsUpstream(t, { http: (request, response) => response.end(`plain ${request.url}`) })
    const { port } = await start(t, [upstream.httpUrl, '--status', '/ops'])
    const { port: other } = await start(t, [upstream.httpUrl])
    assert.match(await (await fetch(`http://127.0.0.1:${port}/ops/`)).text(), /<html/)
    assert.equal((await fetch(`http://127.0.0.1:${port}/ops/status.json`)).headers.get('content-type'), 'application/json; charset=utf-8')
    assert.equal(await (await fetch(`http://127.0.0.1:${port}/x`)).text(), 'plain /x')
    assert.equal(await (await fetch(`http://127.0.0.1:${other}/ops/`)).text(), 'plain /ops/')
    assert.equal(await (await fetch(`http://127.0.0.1:${other}/wstunnel/`)).text(), 'plain /wstunnel/')
  })

  test('serves a configuration of httpd at once', async (t) => {
    const upstream = await startWsUpstream(t, { http: (request, response) => response.end(`plain ${request.url}`) })
    const [conf = ''] = files(t, {
      'site.conf': '<VirtualHost *:80>\nServerName a.example\n' +
        `ProxyPass / ${upstream.httpUrl}/ upgrade=websocket\nProxyPassReverse / ${upstream.httpUrl}/\n</VirtualHost>\n`
    })
    const { port } = await start(t, ['--httpd-conf', conf])
    assert.equal(await (await fetch(`http://127.0.0.1:${port}/x`)).text(), 'plain /x')
  })

  test('where the port is in use says so, and ends with 2', async (t) => {
    const other = createServer().listen(0, '127.0.0.1')
    cleanup(t, 'servers', () => { other.close() })
    await event(other, 'listening')
    const { port } = other.address() as AddressInfo
    const { code, error } = await said(['http://127.0.0.1:9', '--port', String(port)])
    assert.deepEqual([code, error], [2, `fastify-wstunnel: port ${port} of 127.0.0.1 is in use: choose another with --port\n`])
  })

  test('ends when it is told to', async () => {
    const [port = 0] = await freePorts(1)
    const { code } = await said(['http://127.0.0.1:9', '--port', String(port)], { onEnd: (end) => { setImmediate(end); return () => {} } })
    assert.equal(code, 0)
  })
})
