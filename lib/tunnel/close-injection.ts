/** The last frame of a direction: put in at a frame's boundary, and nothing after it. */
import { pass, type Tracker, type TunnelEndpoint } from './endpoint.ts'

/** Puts a last frame behind what this side sends: now where it is between two frames, else at the end of the current one. */
export function requestClose (side: TunnelEndpoint, frame: Buffer): void {
  const { tracker } = side
  if (tracker === undefined || tracker.closing || side.ended || side.discarding) return
  side.closeFrame = frame
  if (tracker.atBoundary) injectClose(side, frame)
}

function injectClose (side: TunnelEndpoint, frame: Buffer): void {
  side.discarding = true
  side.tunnel.closeInjected()
  side.peer.stream.end(frame)
}

/** The rest of the current frame, and after it the Close; all of the chunk where the frame goes on beyond it. */
export function passUntilBoundary (side: TunnelEndpoint, chunk: Buffer, frame: Buffer): void {
  const tracker = side.tracker as Tracker
  const end = tracker.push(chunk, true)
  if (tracker.closing) side.tunnel.endpointCloses(side)
  if (!tracker.atBoundary || tracker.closing) return pass(side, chunk)
  side.peer.stream.write(chunk.subarray(0, end))
  injectClose(side, frame)
}
