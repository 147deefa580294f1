// Which requests may be upgraded, said once more.
import { membersOf, valuesOf, type Request } from './strict.ts'

/** What limits.earlyData is by default. */
const smallBody = 16_384

const accepts: Record<string, (token: string) => boolean> = {
  '/w': (token) => token === 'websocket',
  '/l': (token) => token === 'websocket',
  '/a': (token) => !/^(?:h2c?|tls)(?:\/|$)/.test(token),
  '/n': () => true,
  '/r': (token) => token === 'websocket' || token === 'tcp/1'
}

/** @param route the first segment of the path, such as `/w` */
export function isOffer (request: Request, route: string): boolean {
  const tokens = membersOf(request, 'upgrade')
  const accept = accepts[route]
  const chosen = route === '/n' ? 'websocket' : tokens.find((token) => accept?.(token))
  const lengths = valuesOf(request, 'content-length')
  const small = request.complete && request.body.length <= smallBody && lengths.length === 1 && /^[1-9]/.test(lengths[0] as string)
  return request.version === '1.1' && accept !== undefined && chosen !== undefined && (request.body === '' || (chosen !== 'websocket' && small)) &&
    valuesOf(request, 'transfer-encoding').length === 0 && valuesOf(request, 'host').length === 1 &&
    membersOf(request, 'connection').includes('upgrade')
}
