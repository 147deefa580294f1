// The tests of integration/handshake.test.ts, by clients of HTTP/2.
import { useHttp2 } from '../fixtures/front.ts'

useHttp2()
await import('../integration/handshake.test.ts')
