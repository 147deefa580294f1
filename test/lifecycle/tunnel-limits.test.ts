import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { clientKey, Gate } from '../lib/admission.ts'

const none = { maxTunnels: Infinity, maxTunnelsPerClient: Infinity, maxTunnelsPerUpstream: Infinity, earlyData: 0, maxResponseHead: 0 }
const full = { code: 'FST_WSTUNNEL_LIMIT', statusCode: 503, source: 'internal', retryAfter: 5 }
const clientFull = { code: 'FST_WSTUNNEL_CLIENT_LIMIT', statusCode: 429, source: 'client', retryAfter: 5 }

describe('all tunnels', () => {
  const limits = { ...none, maxTunnels: 2 }
  test('up to the limit, and again after one has gone', () => {
    const gate = new Gate()
    const first = gate.admit('10.0.0.1', limits)
    gate.admit('10.0.0.2', limits)
    assert.throws(() => gate.admit('10.0.0.3', limits), full)
    assert.throws(() => gate.admit('10.0.0.3', limits), full)
    first.release()
    gate.admit('10.0.0.3', limits)
    assert.throws(() => gate.admit('10.0.0.1', limits), full)
  })
  test('a place is given back once', () => {
    const gate = new Gate()
    const first = gate.admit('10.0.0.1', limits)
    gate.admit('10.0.0.2', limits)
    first.release()
    first.release()
    gate.admit('10.0.0.3', limits)
    assert.throws(() => gate.admit('10.0.0.4', limits), full)
  })
  test('a limit of 0 admits nobody', () => assert.throws(() => new Gate().admit('10.0.0.1', { ...none, maxTunnels: 0 }), full))
  test('each place asks by its own route\'s limit, and counts for all', () => {
    const gate = new Gate()
    for (let i = 0; i < 5; i++) gate.admit('10.0.0.1', none)
    assert.throws(() => gate.admit('10.0.0.1', limits), full)
    gate.admit('10.0.0.1', { ...none, maxTunnels: 6 })
  })
})

describe('tunnels of one client', () => {
  const limits = { ...none, maxTunnelsPerClient: 2 }
  test('up to the limit, whoever else has some', () => {
    const gate = new Gate()
    const first = gate.admit('10.0.0.1', limits)
    gate.admit('10.0.0.1', limits)
    assert.throws(() => gate.admit('10.0.0.1', limits), clientFull)
    gate.admit('10.0.0.2', limits)
    first.release()
    first.release()
    gate.admit('10.0.0.1', limits)
    assert.throws(() => gate.admit('10.0.0.1', limits), clientFull)
  })
  test('who was refused took no place', () => {
    const gate = new Gate()
    const both = { ...none, maxTunnels: 2, maxTunnelsPerClient: 1 }
    gate.admit('10.0.0.1', both)
    for (let i = 0; i < 5; i++) assert.throws(() => gate.admit('10.0.0.1', both), clientFull)
    gate.admit('10.0.0.2', both)
    assert.throws(() => gate.admit('10.0.0.3', both), full)
  })
  test('the client\'s own limit is named before the server\'s', () => {
    const gate = new Gate()
    const both = { ...none, maxTunnels: 1, maxTunnelsPerClient: 1 }
    gate.admit('10.0.0.1', both)
    assert.throws(() => gate.admit('10.0.0.1', both), clientFull)
    assert.throws(() => gate.admit('10.0.0.2', both), full)
  })
  test('a /64 is one client, and an address in IPv6 the IPv4 one', () => {
    const gate = new Gate()
    gate.admit('2001:db8::1', limits)
    gate.admit('2001:0DB8:0:0:ffff::2', limits)
    assert.throws(() => gate.admit('2001:db8:0:0:1:2:3:4', limits), clientFull)
    gate.admit('2001:db8:0:1::1', limits)
    gate.admit('10.0.0.1', limits)
    gate.admit('::ffff:10.0.0.1', limits)
    assert.throws(() => gate.admit('::FFFF:10.0.0.1', limits), clientFull)
  })
})

describe('tunnels of one upstream', () => {
  const a = { label: 'ws://same/' }
  const b = { label: 'ws://same/' }
  test('up to the limit; two upstreams are two, even with one label', () => {
    const gate = new Gate()
    const places = [0, 1, 2].map(() => gate.admit('10.0.0.1', none))
    places[0]?.enter(a, 2)
    places[1]?.enter(a, 2)
    assert.throws(() => places[2]?.enter(a, 2), full)
    places[2]?.enter(b, 2)
    places[0]?.release()
    gate.admit('10.0.0.1', none).enter(a, 2)
    assert.throws(() => gate.admit('10.0.0.1', none).enter(a, 2), full)
  })
  test('going on to another gives up the first', () => {
    const gate = new Gate()
    const place = gate.admit('10.0.0.1', none)
    place.enter(a, 1)
    place.enter(b, 1)
    gate.admit('10.0.0.1', none).enter(a, 1)
    assert.throws(() => gate.admit('10.0.0.1', none).enter(b, 1), full)
    place.release()
    place.release()
    gate.admit('10.0.0.1', none).enter(b, 1)
    assert.throws(() => gate.admit('10.0.0.1', none).enter(b, 1), full)
  })
  test('entering the same again is no second place', () => {
    const place = new Gate().admit('10.0.0.1', none)
    place.enter(a, 1)
    place.enter(a, 1)
  })
  test('being refused by the second gives up the first, and releases nothing of it later', () => {
    const gate = new Gate()
    gate.admit('10.0.0.1', none).enter(b, 1)
    const place = gate.admit('10.0.0.1', none)
    place.enter(a, 2)
    assert.throws(() => place.enter(b, 1), full)
    const others = [gate.admit('10.0.0.1', none), gate.admit('10.0.0.1', none)]
    for (const other of others) other.enter(a, 2)
    place.release()
    assert.throws(() => gate.admit('10.0.0.1', none).enter(a, 2), full)
    assert.throws(() => gate.admit('10.0.0.1', none).enter(b, 1), full)
  })
})

describe('one client', () => {
  for (const [address, key] of [
    ['10.0.0.1', '10.0.0.1'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['::FFFF:10.0.0.1', '10.0.0.1'],
    ['::1', '0:0:0:0'],
    ['::', '0:0:0:0'],
    ['2001:db8::', '2001:db8:0:0'],
    ['2001:db8::1', '2001:db8:0:0'],
    ['2001:0DB8:0000:0001:0002:0003:0004:0005', '2001:db8:0:1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
    ['2001:db8:1::', '2001:db8:1:0'],
    ['1::2:3:4:5:6:7', '1:0:2:3'],
    ['1:2:3:4::', '1:2:3:4'],
    ['fe80::1%eth0', 'fe80:0:0:0'],
    ['64:ff9b::10.0.0.1', '64:ff9b:0:0'],
    ['::1:2:3:4:10.0.0.1', '0:0:1:2'],
    ['', '']
  ] as const) test(`'${address}' is ${key}`, () => assert.equal(clientKey(address), key))
})
