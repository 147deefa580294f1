/** `fastify-wstunnel/prometheus`: the plugin's metrics in a Prometheus registry, without a dependency on its library. */
import createError from '@fastify/error'
import type { FastifyInstance } from 'fastify'
import type {} from '../index.ts'
import { families, type Family, type Labels } from './families.ts'
import { Scrape } from './scrape.ts'

const InvalidOptionsError = createError('FST_WSTUNNEL_INVALID_OPTIONS', '%s', 500)

/** The parts of a registry that `collect()` uses: of prom-client, of @prometheus-io/client, or `app.metrics.client.register` of fastify-metrics. */
export interface MetricsRegistry {
  /** The registry's format. In OpenMetrics, counters are named without `_total`. Default: the Prometheus text format. */
  readonly contentType?: string
  /** Adds a metric; throws if the registry has one of this name. */
  registerMetric (metric: never): void
  /** Removes a metric, when the server closes. Without it the metrics stay, with their last values. */
  removeSingleMetric? (name: string): void
}

/** The options of `collect()`. */
export interface CollectOptions {
  /** The prefix of all names. Default: `'wstunnel_'`. */
  prefix?: string
}

interface Collected {
  name: string
  help: string
  type: Family['type']
  aggregator: Family['aggregator']
  values: Array<{ metricName?: string, labels: Labels, value: number }>
}

/** A metric, as registries know it. They change its name when they write OpenMetrics. */
interface Metric extends Omit<Collected, 'values'> {
  get (): Promise<Collected>
  reset (): void
}

/**
 * Adds the metrics of the whole server to a registry, with one snapshot for each scrape. When the server closes, it removes them.
 * @param app an instance that has, or will have, `app.wstunnel`
 * @throws FST_WSTUNNEL_INVALID_OPTIONS if the prefix cannot begin a metric's name
 * @throws the registry's error for a name that it has already
 */
export function collect (app: FastifyInstance, registry: MetricsRegistry, { prefix = 'wstunnel_' }: CollectOptions = {}): void {
  if (!/^(?:[A-Za-z_:][\w:]*)?$/.test(prefix)) {
    throw new InvalidOptionsError(`prefix: expected letters, digits, '_' and ':', got '${prefix}'`)
  }
  const scrape = new Scrape<Family>(async () => decorated(app).sampleMetrics(), families.length)
  const metrics = families.map((family) => metricOf(family, prefix + family.name, registry, scrape))
  const names: string[] = []
  const leave = (): void => { for (const name of names.splice(0)) registry.removeSingleMetric?.(name) }
  try {
    for (const metric of metrics) {
      registry.registerMetric(metric as never)
      names.push(metric.name)
    }
  } catch (error) {
    leave()
    throw error
  }
  whileStarting(() => {
    app.addHook('onReady', async () => { decorated(app) })
    app.addHook('onClose', async () => leave())
  })
}

function metricOf (family: Family, name: string, registry: MetricsRegistry, scrape: Scrape<Family>): Metric {
  const { help, type, aggregator, samples } = family
  return {
    name,
    help,
    type,
    aggregator,
    async get () {
      // OpenMetrics: the family's name has no `_total`, and registries add it to each sample.
      const shown = type === 'counter' && isOpenMetrics(registry) ? name.replace(/_total$/, '') : name
      const values = samples(await scrape.for(family)).map(({ labels, value, suffix }) => (
        suffix === undefined ? { labels, value } : { metricName: shown + suffix, labels, value }
      ))
      return { name: shown, help, type, aggregator, values }
    },
    /** Does nothing: the counters belong to the plugin, and go on. */
    reset () {}
  }
}

function isOpenMetrics ({ contentType = '' }: MetricsRegistry): boolean {
  return contentType.startsWith('application/openmetrics-text')
}

function decorated (app: FastifyInstance): FastifyInstance['wstunnel'] {
  if (app.hasDecorator('wstunnel')) return app.wstunnel
  throw new InvalidOptionsError(
    'collect(): this instance has no `app.wstunnel`: register fastify-wstunnel on it or on an instance around it; it needs no routes there'
  )
}

/** Adds hooks, unless the server has started: it accepts none then, and the metrics stay in the registry after its close. */
function whileStarting (addHooks: () => void): void {
  try {
    addHooks()
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'FST_ERR_INSTANCE_ALREADY_LISTENING') throw error
  }
}
