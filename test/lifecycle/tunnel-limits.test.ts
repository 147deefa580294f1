import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { clientKey, TunnelLimits } from '../../lib/lifecycle/tunnel-limits.ts'

const none = {
  maxTunnels: Infinity,
  maxTunnelsPerClient: Infinity,
  maxTunnelsPerUpstream: Infinity,
  maxForwards: Infinity,
  maxConnectionsPerUpstream: Infinity,
  earlyData: 0,
  maxResponseHead: 0
}
const full = { code: 'FST_WSTUNNEL_LIMIT', statusCode: 503, source: 'internal', retryAfter: 5 }
const clientFull = { code: 'FST_WSTUNNEL_CLIENT_LIMIT', statusCode: 429, source: 'client', retryAfter: 5 }

describe('all tunnels', () => {
  const limits = { ...none, maxTunnels: 2 }
  test('up to the limit, and again after one has gone', () => {
    const tunnelLimits = new TunnelLimits()
    const first = tunnelLimits.acquire('10.0.0.1', limits)
    tunnelLimits.acquire('10.0.0.2', limits)
    assert.throws(() => tunnelLimits.acquire('10.0.0.3', limits), full)
    assert.throws(() => tunnelLimits.acquire('10.0.0.3', limits), full)
    first.release()
    tunnelLimits.acquire('10.0.0.3', limits)
    assert.throws(() => tunnelLimits.acquire('10.0.0.1', limits), full)
  })
  test('a place is given back once', () => {
    const tunnelLimits = new TunnelLimits()
    const first = tunnelLimits.acquire('10.0.0.1', limits)
    tunnelLimits.acquire('10.0.0.2', limits)
    first.release()
    first.release()
    tunnelLimits.acquire('10.0.0.3', limits)
    assert.throws(() => tunnelLimits.acquire('10.0.0.4', limits), full)
  })
  test('a limit of 0 admits nobody', () => assert.throws(() => new TunnelLimits().acquire('10.0.0.1', { ...none, maxTunnels: 0 }), full))
  test('each place asks by its own route\'s limit, and counts for all', () => {
    const tunnelLimits = new TunnelLimits()
    for (let i = 0; i < 5; i++) tunnelLimits.acquire('10.0.0.1', none)
    assert.throws(() => tunnelLimits.acquire('10.0.0.1', limits), full)
    tunnelLimits.acquire('10.0.0.1', { ...none, maxTunnels: 6 })
  })
})

describe('tunnels of one client', () => {
  const limits = { ...none, maxTunnelsPerClient: 2 }
  test('up to the limit, whoever else has some', () => {
    const tunnelLimits = new TunnelLimits()
    const first = tunnelLimits.acquire('10.0.0.1', limits)
    tunnelLimits.acquire('10.0.0.1', limits)
    assert.throws(() => tunnelLimits.acquire('10.0.0.1', limits), clientFull)
    tunnelLimits.acquire('10.0.0.2', limits)
    first.release()
    first.release()
    tunnelLimits.acquire('10.0.0.1', limits)
    assert.throws(() => tunnelLimits.acquire('10.0.0.1', limits), clientFull)
  })
  test('who was refused took no place', () => {
    const tunnelLimits = new TunnelLimits()
    const both = { ...none, maxTunnels: 2, maxTunnelsPerClient: 1 }
    tunnelLimits.acquire('10.0.0.1', both)
    for (let i = 0; i < 5; i++) assert.throws(() => tunnelLimits.acquire('10.0.0.1', both), clientFull)
    tunnelLimits.acquire('10.0.0.2', both)
    assert.throws(() => tunnelLimits.acquire('10.0.0.3', both), full)
  })
  test('the client\'s own limit is named before the server\'s', () => {
    const tunnelLimits = new TunnelLimits()
    const both = { ...none, maxTunnels: 1, maxTunnelsPerClient: 1 }
    tunnelLimits.acquire('10.0.0.1', both)
    assert.throws(() => tunnelLimits.acquire('10.0.0.1', both), clientFull)
    assert.throws(() => tunnelLimits.acquire('10.0.0.2', both), full)
  })
  test('a /64 is one client, and an address in IPv6 the IPv4 one', () => {
    const tunnelLimits = new TunnelLimits()
    tunnelLimits.acquire('2001:db8::1', limits)
    tunnelLimits.acquire('2001:0DB8:0:0:ffff::2', limits)
    assert.throws(() => tunnelLimits.acquire('2001:db8:0:0:1:2:3:4', limits), clientFull)
    tunnelLimits.acquire('2001:db8:0:1::1', limits)
    tunnelLimits.acquire('10.0.0.1', limits)
    tunnelLimits.acquire('::ffff:10.0.0.1', limits)
    assert.throws(() => tunnelLimits.acquire('::FFFF:10.0.0.1', limits), clientFull)
  })
})

describe('tunnels of one upstream', () => {
  const a = { label: 'ws://same/' }
  const b = { label: 'ws://same/' }
  test('up to the limit; two upstreams are two, even with one label', () => {
    const tunnelLimits = new TunnelLimits()
    const slots = [0, 1, 2].map(() => tunnelLimits.acquire('10.0.0.1', none))
    slots[0]?.acquireUpstream(a, 2)
    slots[1]?.acquireUpstream(a, 2)
    assert.throws(() => slots[2]?.acquireUpstream(a, 2), full)
    slots[2]?.acquireUpstream(b, 2)
    slots[0]?.release()
    tunnelLimits.acquire('10.0.0.1', none).acquireUpstream(a, 2)
    assert.throws(() => tunnelLimits.acquire('10.0.0.1', none).acquireUpstream(a, 2), full)
  })
  test('going on to another gives up the first', () => {
    const tunnelLimits = new TunnelLimits()
    const slot = tunnelLimits.acquire('10.0.0.1', none)
    slot.acquireUpstream(a, 1)
    slot.acquireUpstream(b, 1)
    tunnelLimits.acquire('10.0.0.1', none).acquireUpstream(a, 1)
    assert.throws(() => tunnelLimits.acquire('10.0.0.1', none).acquireUpstream(b, 1), full)
    slot.release()
    slot.release()
    tunnelLimits.acquire('10.0.0.1', none).acquireUpstream(b, 1)
    assert.throws(() => tunnelLimits.acquire('10.0.0.1', none).acquireUpstream(b, 1), full)
  })
  test('entering the same again is no second place', () => {
    const slot = new TunnelLimits().acquire('10.0.0.1', none)
    slot.acquireUpstream(a, 1)
    slot.acquireUpstream(a, 1)
  })
  test('being refused by the second gives up the first, and releases nothing of it later', () => {
    const tunnelLimits = new TunnelLimits()
    tunnelLimits.acquire('10.0.0.1', none).acquireUpstream(b, 1)
    const slot = tunnelLimits.acquire('10.0.0.1', none)
    slot.acquireUpstream(a, 2)
    assert.throws(() => slot.acquireUpstream(b, 1), full)
    const others = [tunnelLimits.acquire('10.0.0.1', none), tunnelLimits.acquire('10.0.0.1', none)]
    for (const other of others) other.acquireUpstream(a, 2)
    slot.release()
    assert.throws(() => tunnelLimits.acquire('10.0.0.1', none).acquireUpstream(a, 2), full)
    assert.throws(() => tunnelLimits.acquire('10.0.0.1', none).acquireUpstream(b, 1), full)
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
