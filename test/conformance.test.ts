import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { check, rowsOf } from './conformance/checks.ts'
import { compare } from './conformance/compare.ts'
import { findHttpd, Httpd } from './conformance/httpd.ts'
import { scenarios } from './conformance/scenarios.ts'
import type { Scenario, Table } from './conformance/table.ts'
import { ask, head, http, ok, says, ws } from './conformance/words.ts'
import { until, within } from './fixtures/wait.ts'

// The comparison with httpd is a command of its own. Here: that its scenarios and its document agree, and that it takes bad
// input as it should, whether there is an httpd on the machine or not.

const root = fileURLToPath(new URL('..', import.meta.url))
const document = readFileSync(join(root, 'docs/differences-from-httpd.md'), 'utf8')
const installed = findHttpd() !== undefined
const skip = installed ? false : 'httpd is not installed'

function read (file: string): string | undefined {
  return existsSync(join(root, file)) ? readFileSync(join(root, file), 'utf8') : undefined
}

function scenario (name: string, table: Table = http, more: Partial<Scenario> = {}): Scenario {
  return { name, table, client: ask(head('GET /')), upstream: says(ok()), ...more }
}

interface Place {
  /** Where temporary files go. */
  directory: string
  /** The numbers of the fake httpd's processes. */
  processes: () => number[]
}

/** A place of its own for temporary files, and, where a script is given, a program in httpd's place; it runs with `$1` and so on. */
function inItsPlace (t: TestContext, script?: string): Place {
  const outer = mkdtempSync(join(tmpdir(), 'runner-'))
  chmodSync(outer, 0o755) // httpd reads as another user
  const directory = join(outer, 'tmp')
  mkdirSync(directory)
  const variables: Record<string, string> = { TMPDIR: directory }
  if (script !== undefined) {
    const program = join(outer, 'httpd')
    writeFileSync(program, `#!/bin/sh\necho $$ >> ${outer}/pids\n${script}\n`)
    chmodSync(program, 0o755)
    Object.assign(variables, { HTTPD: program, HTTPD_MODULES: outer })
  }
  const before = new Map(Object.keys(variables).map((name) => [name, process.env[name]]))
  Object.assign(process.env, variables)
  t.after(() => {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    }
    rmSync(outer, { recursive: true, force: true })
  })
  const pids = join(outer, 'pids')
  return { directory, processes: () => existsSync(pids) ? readFileSync(pids, 'utf8').trim().split('\n').map(Number) : [] }
}

function isAlive (pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** No file, no process, and nothing that keeps this one from ending. */
async function assertNothingIsLeft ({ directory, processes }: Place): Promise<void> {
  assert.deepEqual(filesIn(directory), [])
  assert.deepEqual(processes().filter(isAlive), [])
  const left = (): string[] => process.getActiveResourcesInfo().filter((name) => ['TCPServerWrap', 'ProcessWrap', 'MessagePort'].includes(name))
  await until(() => left().length === 0, () => `servers and processes to be gone: ${left().join(', ')}`)
}

/** But for what tsx keeps there. */
function filesIn (directory: string): string[] {
  return readdirSync(directory).filter((name) => !name.startsWith('tsx-'))
}

test('every row of the differences is proved, and every scenario that claims one has its row', () => {
  assert.deepEqual(check(scenarios, document, read), [])
  assert.ok(rowsOf(document).length > 50)
  assert.ok(scenarios.length > 1000)
})

const header = '| httpd | this plugin | why | scenario |\n|---|---|---|---|\n'
const claim = scenario('a', http, { differs: 'one', ours: [] })

for (const [what, table, all, problem] of [
  ['a row without proof', '| it does | we do not | why | |', [scenario('a')], "nothing proves the row 'it does'"],
  ['a row whose scenario does not exist', '| it does | we do not | why | `one` |', [scenario('a')], "no scenario proves the row 'it does' (one)"],
  ['a row whose file of tests does not exist', '| it does | we do not | why | [such a test](../test/such.test.ts) |', [scenario('a')],
    "test/such.test.ts has no test 'such a test', which should prove the row 'it does'"],
  ['a row whose test does not exist', '| it does | we do not | why | [such a test](../test/here.test.ts) |', [scenario('a')],
    "test/here.test.ts has no test 'such a test', which should prove the row 'it does'"],
  ['a second proof that does not exist', '| it does | we do not | why | `one` `two` |', [claim], "no scenario proves the row 'it does' (two)"],
  ['a claim without a row', '| it does | we do not | why | [a test](../test/here.test.ts) |', [claim],
    "'a' is to prove the row one, which the document of differences does not have"],
  ['two scenarios of one name', '| it does | we do not | why | `one` |', [claim, claim], "two scenarios are called 'a'"]
] as Array<[string, string, Scenario[], string]>) {
  test(`${what} is found`, () => {
    assert.deepEqual(check(all, header + table, (file) => file === 'test/here.test.ts' ? "test('a test', () => {})\n// such a test" : undefined), [problem])
  })
}

test('a document without rows is found', () => {
  assert.deepEqual(check([scenario('a')], '', () => undefined), ['the document of differences has no rows'])
})

test('a row may have both a scenario and a test', () => {
  assert.deepEqual(check([claim], `${header}| a \\| b | c | d | \`one\` [a test](../t.ts) |`, () => "test('a test')"), [])
})

test('the list of what is covered names scenarios that exist', () => {
  const text = read('test/conformance/README.md') ?? ''
  const list = text.slice(text.indexOf('## What is covered'))
  const cells = list.split('\n').filter((line) => line.startsWith('| ')).map((line) => line.split(' | ').at(-1) ?? '')
  const names = cells.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name as string))
  assert.ok(names.length > 80)
  const rows = new Set(scenarios.flatMap(({ differs }) => differs ?? []))
  assert.deepEqual(names.filter((name) => !rows.has(name) && !scenarios.some((each) => each.name.includes(name))), [])
})

test('a value that the plugin refuses names the scenario', async (t) => {
  const place = inItsPlace(t, 'exit 0')
  const bad = scenario('the bad one', { ...http, via: 'sideways' as 'on' })
  await assert.rejects(compare([scenario('a good one'), bad]), (error: Error) => {
    assert.match(error.message, /^the plugin refuses the table of 'the bad one': via: expected one of .*, got 'sideways'$/)
    return true
  })
  await assertNothingIsLeft(place)
})

test('a value that httpd refuses names the scenario', async (t) => {
  const place = inItsPlace(t, 'grep -q "ProxyPreserveHost On" "$3" && { echo "line 7: not so" >&2; exit 1; }\nexit 0')
  await assert.rejects(compare([scenario('a good one'), scenario('the bad one', { ...http, preserveHost: true })]), (error: Error) => {
    assert.equal(error.message, "httpd refuses the table of 'the bad one':\nline 7: not so")
    return true
  })
  assert.ok(place.processes().length >= 3, 'the tables were tried one by one')
  await assertNothingIsLeft(place)
})

test('a real httpd that refuses a value names the scenario', { skip }, async (t) => {
  const place = inItsPlace(t)
  const bad = scenario('the bad one', { ...ws, timeoutText: '0s' })
  await assert.rejects(compare([scenario('a good one'), bad]), (error: Error) => {
    assert.match(error.message, /^httpd refuses the table of 'the bad one':\n.*timeout/is)
    return true
  })
  await assertNothingIsLeft(place)
})

test('an httpd that does not start says why, and for whom', async (t) => {
  const place = inItsPlace(t, '[ "$1" = -t ] && exit 0\necho "cannot open the log" >&2\nexit 3')
  await assert.rejects(compare([scenario('the first'), scenario('the second', ws)]), (error: Error) => {
    assert.equal(error.message, "httpd did not start (3), with the tables of 'the first' and 1 more:\ncannot open the log\n")
    return true
  })
  await assertNothingIsLeft(place)
})

test('an httpd that takes no connection is not waited for, and not left running', async (t) => {
  const place = inItsPlace(t, '[ "$1" = -t ] && exit 0\nexec sleep 600')
  await assert.rejects(compare([scenario('the only one')], new Httpd(300)), (error: Error) => {
    assert.match(error.message, /^httpd takes no connection, with the tables of 'the only one':/)
    return true
  })
  assert.equal(place.processes().length, 2)
  await assertNothingIsLeft(place)
})

test('a scenario that neither side answers fails by its name', { skip }, async (t) => {
  const place = inItsPlace(t)
  const [mute, good] = await compare([scenario('the mute one', http, { client: [] }), scenario('a good one')])
  assert.deepEqual([mute?.scenario.name, mute?.problems], ['the mute one', ['neither side answers']])
  assert.deepEqual([good?.scenario.name, good?.problems], ['a good one', []])
  await assertNothingIsLeft(place)
})

test('what is not as httpd does it fails, and so does a difference that is none or is another', { skip }, async (t) => {
  inItsPlace(t)
  const foreign: Partial<Scenario> = { client: ask(head('GET /%2F')) }
  const results = await compare([
    scenario('not the same', http, foreign),
    scenario('no difference', http, { differs: 'x', ours: ['< 200 OK'] }),
    scenario('without ours', http, { ...foreign, differs: 'x' }),
    scenario('another', http, { ...foreign, differs: 'x', ours: ['< 400'] })
  ])
  assert.deepEqual(results.map(({ problems }) => problems), [
    ['not as httpd does it'],
    ['httpd does the same: no difference (row x)', 'not what we mean to do, which is:', '| < 200 OK'],
    ['a difference needs what we do instead, exactly'],
    ['not what we mean to do, which is:', '| < 400']
  ])
})

interface Run {
  code: number | null
  output: string
}

/** The command, with these variables. */
function command (t: TestContext, variables: Record<string, string>, ...args: string[]): { pid: number, done: Promise<Run> } {
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', 'test/conformance/runner.ts', ...args],
    { cwd: root, env: { ...process.env, NODE_V8_COVERAGE: undefined, ...variables } }
  )
  t.after(() => { child.kill('SIGKILL') })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => { output += text })
  return { pid: child.pid as number, done: within(once(child, 'close').then(([code]) => ({ code, output })), 'the command', 60_000) }
}

test('the command says where httpd is not installed, by a code of its own', async (t) => {
  const { code, output } = await command(t, { HTTPD: '/no/such/program' }).done
  assert.equal(code, 77)
  assert.match(output, /httpd is not installed .*apache2.*; nothing was compared/)
})

test('the command says which scenario there is none of', { skip }, async (t) => {
  const { code, output } = await command(t, {}, '--only', 'no such scenario').done
  assert.deepEqual([code, output], [1, "conformance: no scenario is called 'no such scenario'\n"])
})

test('the command leaves nothing behind where it is interrupted', { skip }, async (t) => {
  const place = inItsPlace(t)
  const { pid, done } = command(t, {}, '--only', 'tunnels / ')
  let httpd = 0
  await until(() => {
    const [directory] = filesIn(place.directory)
    const text = directory === undefined ? undefined : textOf(join(place.directory, directory, 'httpd.pid'))
    httpd = Number(text ?? 0)
    return httpd > 0
  }, 'httpd to be running', 60_000)
  process.kill(pid, 'SIGINT')
  const { code } = await done
  assert.equal(code, 130)
  await until(() => !isAlive(httpd), 'httpd to be gone')
  assert.deepEqual(filesIn(place.directory), [])
})

function textOf (file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}
