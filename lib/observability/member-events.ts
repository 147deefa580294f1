/** Reports the changes of a balancer's members: on their channel, and in the log. */
import type { FastifyBaseLogger } from 'fastify'
import type { MemberStateMessage } from '../balancer/options.ts'
import { logging } from '../config/user-function.ts'
import { channels } from './channels.ts'

/** Returns a function that reports a change of a member's state, and lookups that begin or cease to fail. */
export function memberReporter (log: FastifyBaseLogger): (change: MemberStateMessage) => void {
  return (change) => {
    if (channels.member.hasSubscribers) channels.member.publish(change)
    logging(() => write(log, change))
  }
}

function write (log: FastifyBaseLogger, change: MemberStateMessage): void {
  const { error: err, ...rest } = change
  const isBad = err !== undefined || ('to' in change && (change.to === 'error' || change.to === 'unhealthy'))
  if (isBad) log.warn({ ...rest, ...(err === undefined ? {} : { err }) }, titleOf(change))
  else log.info(rest, titleOf(change))
}

function titleOf (change: MemberStateMessage): string {
  if ('member' in change) return 'balancer member changed'
  return change.error === undefined ? 'balancer members found' : 'lookup of balancer members failed'
}
