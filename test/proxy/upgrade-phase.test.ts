import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { endings, type Phase, phases, progress, refusalStage, stepOf, type UpgradeEvent } from '../../lib/proxy/upgrade-phase.ts'

/** What an event makes of a phase: `→ phase`, and behind it what is done at the client; `–` if it means nothing there. */
function cell (phase: Phase, event: UpgradeEvent): string {
  const step = stepOf(phase, event)
  if (step === undefined) return '–'
  return `→ ${step.to}${step.action === undefined ? '' : `, ${step.action}`}`
}

describe('the table of an upgrade', () => {
  const expected: Record<UpgradeEvent, Record<Phase, string>> = {
    admitted: { admit: '→ select', select: '–', exchange: '–', relay: '–', tunnel: '–', done: '–' },
    chosen: { admit: '–', select: '→ exchange', exchange: '–', relay: '–', tunnel: '–', done: '–' },
    next: { admit: '–', select: '–', exchange: '→ exchange', relay: '–', tunnel: '–', done: '–' },
    switched: { admit: '–', select: '–', exchange: '→ tunnel', relay: '–', tunnel: '–', done: '–' },
    refused: { admit: '–', select: '–', exchange: '→ relay', relay: '–', tunnel: '–', done: '–' },
    clientGone: { admit: '→ done, drop', select: '→ done, drop', exchange: '→ done, drop', relay: '→ relay, cut', tunnel: '–', done: '–' },
    drained: { admit: '→ done, answer', select: '→ done, answer', exchange: '→ done, answer', relay: '→ relay, cut', tunnel: '–', done: '–' },
    replied: { admit: '→ done, leave', select: '→ done, leave', exchange: '→ done, leave', relay: '–', tunnel: '–', done: '–' },
    responseEnded: { admit: '→ done, leave', select: '→ done, leave', exchange: '→ done, leave', relay: '→ done, complete', tunnel: '–', done: '–' },
    headWritten: { admit: '→ done, drop', select: '–', exchange: '–', relay: '–', tunnel: '–', done: '–' },
    failed: { admit: '→ done, answer', select: '→ done, answer', exchange: '→ done, answer', relay: '–', tunnel: '→ done, drop', done: '–' }
  }
  for (const event of [...progress, ...endings]) {
    for (const phase of phases) {
      test(`${event} in ${phase}: ${expected[event][phase]}`, () => assert.equal(cell(phase, event), expected[event][phase]))
    }
  }

  test('has no way back, and every phase but the first is reached', () => {
    const reached = new Set<Phase>()
    for (const phase of phases) {
      for (const event of [...progress, ...endings]) {
        const to = stepOf(phase, event)?.to
        if (to === undefined) continue
        if (to !== phase) reached.add(to)
        assert.ok(phases.indexOf(to) >= phases.indexOf(phase), `${event} leads from ${phase} back to ${to}`)
      }
    }
    assert.deepEqual(phases.filter((phase) => !reached.has(phase)), ['admit'])
  })

  test('ends an upgrade with something at the client, and goes on without', () => {
    for (const phase of phases) {
      for (const event of progress) assert.equal(stepOf(phase, event)?.action, undefined)
      for (const event of endings) {
        const step = stepOf(phase, event)
        if (step !== undefined) assert.ok(step.action !== undefined, `${event} in ${phase} does nothing`)
      }
    }
  })

  test('lets nothing but the end of its response end a relay', () => {
    assert.deepEqual(endings.filter((event) => stepOf('relay', event)?.to === 'done'), ['responseEnded'])
  })
})

describe('the stage of a refusal', () => {
  const rows: Array<{ phase: Exclude<Phase, 'done'>, hasPlace: boolean, connected: boolean, stage: string }> = [
    { phase: 'admit', hasPlace: false, connected: false, stage: 'limit' },
    { phase: 'select', hasPlace: false, connected: false, stage: 'dial' },
    { phase: 'exchange', hasPlace: false, connected: false, stage: 'limit' }, // the upstream has no place for it
    { phase: 'exchange', hasPlace: true, connected: false, stage: 'dial' },
    { phase: 'exchange', hasPlace: true, connected: true, stage: 'handshake' },
    { phase: 'relay', hasPlace: true, connected: true, stage: 'upstream' },
    { phase: 'tunnel', hasPlace: true, connected: true, stage: 'handshake' }
  ]
  for (const { phase, hasPlace, connected, stage } of rows) {
    test(`${phase}${hasPlace ? ', with a place' : ''}${connected ? ', connected' : ''}: ${stage}`, () => {
      assert.equal(refusalStage(phase, { hasPlace, connected }), stage)
    })
  }
})
