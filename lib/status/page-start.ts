/** The end of the page's script: the user's actions, and the start. JavaScript. */
export const start: string = String.raw`
const dialog = /** @type {HTMLDialogElement} */ (byId('change'))
const weight = /** @type {HTMLInputElement} */ (byId('weight'))
/** What the open dialog is about. @type {Object<string, string>} */
let subject = {}

/** @param {string} text @param {() => void} pressed @returns {HTMLElement} */
function button (text, pressed) {
  const made = /** @type {HTMLButtonElement} */ (element('button', '', text))
  made.type = 'button'
  made.addEventListener('click', () => {
    pressed()
    if (status !== undefined) show(status)
  })
  return made
}

/** @param {string} balancer @param {string} member */
function openMember (balancer, member) {
  const found = status?.balancers.find((each) => each.balancer === balancer)?.members.find(({ url }) => url === member)
  if (found === undefined) return
  weight.value = String(found.loadFactor)
  openDialog({ balancer, member }, member, 'Balancer ' + balancer + ': ' + found.state + ', live tunnels: ' + count(found.tunnels) + '. ' +
    'No change here ends a tunnel. A drained member takes only sessions that name its route, a disabled one nothing new.')
}

/** @param {string} id */
function openTunnel (id) {
  const found = status?.live.tunnels.find((tunnel) => tunnel.id === id)
  if (found === undefined) return
  openDialog({ tunnel: id }, found.client + ' → ' + found.upstream, 'Open for ' + duration(found.age) + '. Both of its connections are ended at once.')
}

/** @param {Object<string, string>} about @param {string} title @param {string} text */
function openDialog (about, title, text) {
  subject = about
  write(byId('change-title'), title)
  write(byId('change-text'), text)
  byId('change-problem').hidden = true
  byId('change-weight').hidden = about.tunnel !== undefined
  for (const each of dialog.querySelectorAll('#change-buttons [data-action]')) {
    each.toggleAttribute('hidden', (each.getAttribute('data-action') === 'close') !== (about.tunnel !== undefined))
  }
  dialog.showModal()
}

/** @param {string} action */
async function act (action) {
  const body = action === 'weight' ? { action, ...subject, loadFactor: weight.valueAsNumber } : { action, ...subject }
  try {
    const headers = { 'content-type': 'application/json', 'x-wstunnel-nonce': nonce ?? '' }
    const response = await fetch(base + 'actions', { method: 'POST', headers, body: JSON.stringify(body) })
    if (!response.ok) throw new Error((await response.json().catch(() => ({}))).message ?? 'the server answered ' + response.status)
    dialog.close()
  } catch (error) {
    byId('change-problem').hidden = false
    write(byId('change-problem'), /** @type {Error} */ (error).message)
  }
  void poll()
}

for (const each of dialog.querySelectorAll('[data-action]')) each.addEventListener('click', () => { void act(each.getAttribute('data-action') ?? '') })
write(byId('host'), location.host)
set(byId('json'), 'href', base + 'status.json')
if (nonce === undefined) byId('tunnels').querySelector('th.a')?.remove()
query.addEventListener('submit', (event) => event.preventDefault())
/** @type {ReturnType<typeof setTimeout> | undefined} */
let typing
query.addEventListener('input', () => {
  clearTimeout(typing)
  typing = setTimeout(poll, 250) // not for each letter
})
document.addEventListener('visibilitychange', poll)
void poll()
`
