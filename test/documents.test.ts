import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { filesBelow, linksOf, prose, read, root, standsInExample } from './fixtures/documents.ts'

// Every page: what it is for, links that lead somewhere, code that stands in an example. test/snippets.test.ts compiles and runs the rest.

const pages = [
  'README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md', 'test/security/README.md',
  'examples/README.md', 'examples/prometheus/README.md', ...filesBelow('docs', '.md')
]

function anchorsOf (file: string): string[] {
  return [...prose(file).matchAll(/^#+ (.+)$/gm)]
    .map(([, heading = '']) => heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase().replace(/[^\w\- ]/g, '').replaceAll(' ', '-'))
}

for (const file of pages) {
  test(`every link in ${file} leads somewhere`, () => {
    for (const link of linksOf(file)) {
      if (/^https?:/.test(link)) continue
      const [path = '', anchor] = link.split('#')
      const target = path === '' ? file : join(dirname(file), path)
      assert.ok(existsSync(join(root, target)), `${file}: ${link}`)
      if (anchor !== undefined) assert.ok(anchorsOf(target).includes(anchor), `${file}: ${link}`)
    }
  })
}

for (const file of filesBelow('docs', '.md').filter((page) => page !== 'docs/README.md')) {
  test(`${file} begins with a heading and what it is for, and the index has it`, () => {
    const [heading = '', blank, purpose = ''] = read(file).split('\n')
    assert.match(heading, /^# \S/)
    assert.equal(blank, '')
    assert.match(purpose, /^[A-Za-z`]/)
    assert.ok(linksOf('docs/README.md').includes(file.replace('docs/', '')), 'a link in docs/README.md')
  })
}

const folders = readdirSync(join(root, 'lib'), { withFileTypes: true }).filter((entry) => entry.isDirectory()).map(({ name }) => name)

for (const file of ['CONTRIBUTING.md', 'docs/life-of-a-request.md']) {
  test(`every file of lib/ that ${file} names is there, and what it names in it`, () => {
    let found = 0
    for (const [, folder = '', name = '', member] of read(file).matchAll(/`([a-z\d-]+)\/([a-z\d-]+)(?:\.(\w+))?`/g)) {
      if (!folders.includes(folder)) continue
      found++
      assert.ok(existsSync(join(root, `lib/${folder}/${name}.ts`)), `${folder}/${name}`)
      if (member !== undefined) assert.match(read(`lib/${folder}/${name}.ts`), new RegExp(`\\b${member}\\b`))
    }
    assert.ok(found > 30, String(found))
  })
}

test('CONTRIBUTING.md says what is in each folder of lib/, and names pages that are there', () => {
  const all = read('CONTRIBUTING.md')
  assert.deepEqual(folders.filter((folder) => !all.includes(`\`${folder}/\``)), [])
  const named = [...all.matchAll(/`((?:[a-z-]+\/)?[a-z\d-]+\.md)`/g)].map(([, page = '']) => page)
  assert.ok(named.length > 10)
  assert.deepEqual(named.filter((page) => !existsSync(join(root, 'docs', page))), [])
})

for (const file of filesBelow('docs/recipes', '.md')) {
  test(`what ${file} shows is in an example that it links`, () => {
    assert.ok(linksOf(file).some((link) => /^\.\.\/\.\.\/examples\/.+\.(ts|conf|cfg)$/.test(link)), 'a link to an example')
    for (const [, code = ''] of read(file).matchAll(/^```ts\n(.*?)^```$/gms)) {
      if (/^import /.test(code)) continue // whole by itself: test/snippets.test.ts runs it
      assert.ok(standsInExample(file, code), code)
    }
  })
}

test('every example of a recipe has its page, and its test', () => {
  const linked = filesBelow('docs/recipes', '.md').flatMap(linksOf)
  const tests = filesBelow('test/recipes', '.ts').map(read).join('\n')
  const examples = filesBelow('examples/recipes', '')
  assert.ok(examples.length > 12)
  for (const example of examples) {
    if (/\.(html|md)$/.test(example)) continue
    assert.ok(linked.includes(`../../${example}`), `${example}: a link`)
    assert.ok(tests.includes(example), `${example}: a test`)
  }
})

test('no line of the documents is longer than 160 characters, but those of tables and links', () => {
  for (const file of ['README.md', ...filesBelow('docs', '.md')]) {
    for (const line of prose(file).split('\n')) {
      if (line.length > 160 && !line.startsWith('|') && !/\]\(/.test(line) && !line.startsWith('{')) assert.fail(`${file}: ${line}`)
    }
  }
})

test('the README is short: code at once, and no table of options', () => {
  const all = read('README.md').split('\n')
  assert.ok(all.length <= 201, String(all.length))
  assert.ok(all.findIndex((line) => /^```(js|ts)/.test(line)) < 45)
  assert.doesNotMatch(read('README.md'), /^\| option/m)
})

test('every address of the forge is that of package.json', () => {
  const manifest = JSON.parse(read('package.json')) as { repository: { url: string }, homepage: string, bugs: { url: string } }
  const home = manifest.repository.url.replace(/^git\+/, '').replace(/\.git$/, '')
  assert.deepEqual([manifest.homepage, manifest.bugs.url], [`${home}#readme`, `${home}/issues`])
  const advisories = `${home}/security/advisories/new`
  for (const file of ['SECURITY.md', '.github/ISSUE_TEMPLATE/config.yml']) assert.ok(read(file).includes(advisories), file)
  const owner = new URL(home).pathname.split('/')[1] as string
  const owners = [...read('.github/CODEOWNERS').replace(/^#.*$/gm, '').matchAll(/@([\w-]+)/g)].map(([, name]) => name)
  assert.deepEqual(owners, [owner])
  const forge = new RegExp(`https://github\\.com/(?:[\\w-]+/)?${home.split('/').at(-1) as string}[\\w./-]*`, 'g')
  for (const file of [...pages, '.github/ISSUE_TEMPLATE/config.yml', '.github/pull_request_template.md']) {
    for (const [address] of read(file).matchAll(forge)) assert.ok(address.startsWith(home), `${file}: ${address}`)
  }
})
