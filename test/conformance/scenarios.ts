/** All scenarios. */
import { balancers } from './scenarios-balancers.ts'
import { basic } from './scenarios-basic.ts'
import { bodies } from './scenarios-bodies.ts'
import { headers } from './scenarios-headers.ts'
import { handshakesOfWebSocket, offers } from './scenarios-offers.ts'
import { paths } from './scenarios-paths.ts'
import { replies } from './scenarios-replies.ts'
import { reverse } from './scenarios-reverse.ts'
import { settings } from './scenarios-settings.ts'
import { tls } from './scenarios-tls.ts'
import { tunnels } from './scenarios-tunnels.ts'
import type { Scenario } from './table.ts'

export const scenarios: readonly Scenario[] = [
  ...basic, ...offers, ...handshakesOfWebSocket, ...paths, ...replies, ...headers,
  ...bodies, ...tunnels, ...tls, ...settings, ...balancers, ...reverse
]
