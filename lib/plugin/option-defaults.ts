/** The defaults of the options. */
import type { Limits } from '../config/options.ts'
import type { Durations } from '../config/target.ts'

export const durationDefaults: Durations = {
  asyncDelay: 0,
  idleTimeout: 0,
  connectTimeout: 10_000,
  timeout: 60_000,
  handshakeTimeout: 10_000,
  halfCloseTimeout: 30_000,
  maxLifetime: 0,
  stallTimeout: 60_000,
  keepAlive: 30_000
}

export const limitDefaults: Required<Limits> = {
  maxTunnels: 10_000,
  maxTunnelsPerClient: Infinity,
  maxTunnelsPerUpstream: Infinity,
  maxForwards: 10_000,
  maxConnectionsPerUpstream: 1024,
  earlyData: 16_384,
  maxResponseHead: 16_384
}

export const drainTimeoutDefault = 10_000
