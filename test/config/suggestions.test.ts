import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseAddress, parseBalancerRef } from '../../lib/config/upstream-url.ts'
import { forName, forOption, forPath, forUpgrade, forUpstream } from '../../lib/config/suggestions.ts'

function upstream (value: unknown, balancers: string[] = []): string {
  return forUpstream(value, balancers, (text) => (parseBalancerRef(text) ?? parseAddress(text)) !== undefined)
}

describe('for what is no upstream', () => {
  for (const [value, hint] of [
    ['localhost:4000', "did you mean 'ws://localhost:4000' (or http://)?"],
    ['127.0.0.1:4000/app', "did you mean 'ws://127.0.0.1:4000/app' (or http://)?"],
    ['backend', "did you mean 'ws://backend' (or http://)?"],
    ['//backend:9080/', "did you mean 'ws://backend:9080/' (or http://)?"],
    ['[::1]:4000', "did you mean 'ws://[::1]:4000' (or http://)?"],
    [4000, "did you mean 'ws://127.0.0.1:4000/'?"],
    ['htp://backend/', "did you mean 'http://backend/'?"],
    ['wsss://backend/', "did you mean 'wss://backend/'?"],
    ["'ws://backend/'", "did you mean 'ws://backend/'?"],
    ['/run/app.sock', "did you mean 'unix:/run/app.sock|ws://localhost/'?"],
    ['/ws', 'a path without a host'],
    ['ws://user:secret@backend/', 'rewriteRequestHeaders can set Authorization'],
    ['ws://backend/?token=1', 'without a query'],
    [['ws://a/', 'ws://b/'], 'for several upstreams, use a balancer'],
    [undefined, 'is an environment variable unset?'],
    [null, 'is an environment variable unset?'],
    ['', 'is an environment variable unset?'],
    ['ws://undefined:undefined/', 'is an environment variable unset?'],
    ['undefined', 'is an environment variable unset?'],
  ] as Array<[unknown, string]>) {
    test(`${JSON.stringify(value)}: ${hint}`, () => {
      assert.ok(upstream(value).includes(hint), upstream(value))
    })
  }
  test('a name of a balancer, without its scheme or nearly right', () => {
    assert.equal(upstream('app', ['app']), ", did you mean 'balancer://app/'?")
    assert.equal(upstream('balancer://ap/', ['app']), ", did you mean 'balancer://app/'?")
    assert.equal(upstream('balancer:app', ['app']), ", did you mean 'balancer://app/'?")
  })
  test('what makes no sense gets no hint', () => {
    for (const value of [true, {}, Symbol.iterator]) assert.equal(upstream(value), '')
  })
})

describe('for an option that does not exist', () => {
  test('the nearest, whatever its case, with two letters swapped or one too many', () => {
    for (const name of ['idletimeout', 'idleTimeuot', 'idleTimeoutt', 'idelTimeout']) {
      assert.equal(forOption(name, ['idleTimeout', 'timeout']), ', did you mean idleTimeout?')
    }
  })
  test('nothing where none is near', () => assert.equal(forOption('colour', ['idleTimeout', 'timeout']), ''))
  test("what does the work of @fastify/http-proxy's", () => {
    for (const [name, ours] of [
      ['websocket', 'upgrade'], ['rewritePrefix', 'upstream'], ['wsUpstream', 'upstream'],
      ['replyOptions', 'rewriteRequestHeaders'], ['httpMethods', 'methods'], ['wsClientOptions', 'tls']
    ] as const) {
      assert.match(forOption(name, ['upstream', 'methods', 'http2']), new RegExp(`\\b${ours}\\b`))
    }
  })
  test('names that every object has are no options of others', () => {
    for (const name of ['constructor', '__proto__', 'toString', 'hasOwnProperty']) assert.equal(forOption(name, ['upstream']), '')
  })
  test('where it belongs, if it exists elsewhere', () =>
    assert.equal(forOption('drainTimeout', ['path'], { drainTimeout: 'at the top' }), ', it belongs at the top'))
})

test('for a path that is no prefix', () => {
  assert.equal(forPath('ws/'), ", did you mean '/ws/'?")
  assert.equal(forPath('/ws/*'), ", did you mean '/ws/'?")
  assert.equal(forPath('//ws'), ", did you mean '/ws'?")
  for (const path of ['/a/../b', '/a?b', '/ws/', 5]) assert.equal(forPath(path), '')
})

test('for what is no upgrade', () => {
  assert.equal(forUpgrade('any'), ", did you mean 'ANY'?")
  assert.equal(forUpgrade('None'), ", did you mean 'NONE'?")
  assert.equal(forUpgrade(true), ", did you mean 'websocket'?")
  assert.equal(forUpgrade(['ANY']), ", 'ANY' and 'NONE' stand alone")
})

test('for a name that nothing has', () => {
  assert.equal(forName('ap', ['app', 'api2']), ", did you mean 'app'?")
  assert.equal(forName('other', ['app', 'api']), ' (known: app, api)')
  assert.equal(forName('other', []), ' (there are none)')
})
