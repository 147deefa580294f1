/** `fastify-wstunnel/redis`: leases in Redis, so that `maxTunnelsPerClient` counts the tunnels of all instances. */
import createError from '@fastify/error'
import type { Duration, LeaseStore } from '../index.ts'

const InvalidOptionsError = createError('FST_WSTUNNEL_INVALID_OPTIONS', '%s', 500)

/** The part of a client that `redisLeases()` uses: `eval` of ioredis (also of its Cluster) or of node-redis. */
export interface RedisClient {
  /** Runs a script. Arguments: its text, the number of keys, keys and arguments; for node-redis, its text and an object of keys and arguments. */
  eval (script: string, ...args: never[]): Promise<unknown>
}

/** The options of `redisLeases()`. */
export interface RedisLeasesOptions {
  /** The prefix of all keys. Default: `'wstunnel:'`. */
  prefix?: string
  /**
   * How long a place stays taken after its instance has died; every third of it, the instance renews its leases. 0, and more than 24 days,
   * are errors. Default: 30s.
   */
  ttl?: Duration
}

// One sorted set for each client: its members are leases, their scores the times at which they expire, by the clock of Redis.
const now = "local time = redis.call('TIME') local now = time[1] * 1000 + math.floor(time[2] / 1000) "
const expire = "if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end "

const acquireScript = `${now}
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) and not redis.call('ZSCORE', KEYS[1], ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[2])
${expire}
return 1`

// Adds missing leases: Redis may have been flushed, or may not have answered when the tunnel was opened.
const renewScript = `${now}
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[i]) end
${expire}
return 1`

const releaseScript = "return redis.call('ZREM', KEYS[1], ARGV[1])"

/** The maximum number of leases that one call renews. */
const batch = 500

/**
 * Returns a store for `limits.store`. Each call of a script uses one key, so Redis Cluster works, too.
 * @throws FST_WSTUNNEL_INVALID_OPTIONS if `ttl` is no duration above 0, `prefix` is no string, or the client has no `eval`
 */
export function redisLeases (client: RedisClient, { prefix = 'wstunnel:', ttl = '30s' }: RedisLeasesOptions = {}): LeaseStore {
  const ms = milliseconds(ttl)
  if (typeof (client as Partial<RedisClient> | undefined)?.eval !== 'function') {
    throw new InvalidOptionsError('client: expected a Redis client, such as ioredis or node-redis')
  }
  if (typeof prefix !== 'string') throw new InvalidOptionsError('prefix: expected a string')
  if (ms === undefined) throw new InvalidOptionsError(`ttl: expected a duration such as '30s', above 0, got '${ttl}'`)
  const run = runner(client)
  return {
    ttl: ms,
    acquire: async (key, lease, max) => await run(acquireScript, prefix + key, [ms, lease, max]) === 1,
    async renew (leases) {
      const byKey = new Map<string, string[]>()
      for (const [lease, key] of leases) byKey.set(key, [...byKey.get(key) ?? [], lease])
      const calls: Array<Promise<unknown>> = []
      for (const [key, list] of byKey) {
        for (let i = 0; i < list.length; i += batch) calls.push(run(renewScript, prefix + key, [ms, ...list.slice(i, i + batch)]))
      }
      await Promise.all(calls)
    },
    async release (key, lease) { await run(releaseScript, prefix + key, [lease]) }
  }
}

type Run = (script: string, key: string, args: Array<string | number>) => Promise<unknown>

/** Returns a function that runs a script: the two libraries take its arguments in different forms. */
function runner (client: RedisClient): Run {
  const call = client.eval.bind(client) as (script: string, ...args: unknown[]) => Promise<unknown>
  const isIoredis = typeof (client as { defineCommand?: unknown }).defineCommand === 'function'
  return async (script, key, args) => {
    const texts = args.map(String)
    const answer = await (isIoredis ? call(script, 1, key, ...texts) : call(script, { keys: [key], arguments: texts }))
    return Number(answer)
  }
}

/** The longest delay of Node's timers, which renew the leases: some 24 days. */
const longest = 2 ** 31 - 1

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

function milliseconds (value: Duration): number | undefined {
  const [, count, unit] = typeof value === 'number' ? ['', String(value), 'ms'] : /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(value) ?? []
  const ms = Math.ceil(Number(count) * (units[unit ?? ''] ?? NaN)) // Redis takes whole milliseconds
  return ms > 0 && ms <= longest ? ms : undefined
}
