// Which requests may be upgraded, said once more.
import { membersOf, valuesOf, type Request } from './strict.ts'

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
  return request.version === '1.1' && accept !== undefined && tokens.some(accept) && request.body === '' &&
    valuesOf(request, 'transfer-encoding').length === 0 && valuesOf(request, 'host').length === 1 &&
    membersOf(request, 'connection').includes('upgrade')
}
