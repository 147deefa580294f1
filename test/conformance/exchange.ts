/** One exchange on one side: both ends follow their scripts. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { RawConnection } from '../fixtures/raw.ts'
import { Client, Signals } from './ends.ts'
import type { ClientStep, Outcome, UpstreamStep } from './ends.ts'
import type { Upstreams } from './upstreams.ts'

/** Plays one scenario against one proxy. */
export async function play (
  port: number, upstreams: Upstreams, client: readonly ClientStep[], script: ReadonlyArray<readonly UpstreamStep[]>
): Promise<Outcome> {
  const signals = new Signals()
  upstreams.begin(script, signals)
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
  await once(socket, 'connect')
  const end = new Client(new RawConnection(socket), signals)
  try {
    for (const step of client) await step(end)
    const how = await end.conclude()
    const requests = await upstreams.finish()
    end.takeRest()
    const tunnel = end.switched || end.unparsed || end.responses.length === 0 ? end.connection.unread.toString('latin1') : ''
    return { responses: end.responses, tunnel, end: how, missed: end.missed, requests, ...(end.sequence === undefined ? {} : { sequence: end.sequence }) }
  } finally {
    end.hangUp()
    await upstreams.hangUp()
  }
}
