// The tests of integration/refusal.test.ts, by clients of HTTP/2.
import { useHttp2 } from '../fixtures/front.ts'

useHttp2()
await import('../integration/refusal.test.ts')
