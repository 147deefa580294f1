/** Injects the last frame of a direction, at a frame's boundary, and lets nothing pass after it. */
import { pass, type Tracker, type TunnelEndpoint } from './endpoint.ts'

/** Injects a last frame into the bytes that this side sends: at once if the stream is between two frames, else after the current frame. */
export function requestClose (side: TunnelEndpoint, frame: Buffer): void {
  const { tracker } = side
  if (tracker === undefined || tracker.closing || side.hasEnded || side.discarding) return
  side.closeFrame = frame
  if (tracker.atBoundary) injectClose(side, frame)
}

function injectClose (side: TunnelEndpoint, frame: Buffer): void {
  side.discarding = true
  side.tunnel.closeInjected()
  side.peer.stream.end(frame)
}

/** Passes the rest of the current frame, then the Close; passes the whole chunk if the frame is longer. */
export function passUntilBoundary (side: TunnelEndpoint, chunk: Buffer, frame: Buffer): void {
  const tracker = side.tracker as Tracker
  const end = tracker.push(chunk, true)
  if (tracker.closing) side.tunnel.endpointCloses(side)
  if (!tracker.atBoundary || tracker.closing) return pass(side, chunk)
  side.peer.stream.write(chunk.subarray(0, end))
  injectClose(side, frame)
}
