// The tests of life/backpressure.test.ts, by clients of HTTP/2.
import { useHttp2 } from '../fixtures/front.ts'

useHttp2()
await import('../life/backpressure.test.ts')
