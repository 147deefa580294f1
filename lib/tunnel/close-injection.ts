/** The last frame of a direction: put in at a frame's boundary, and nothing after it. */
import { pass, type Side, type Tracker } from './side.ts'

/** Puts a last frame behind what this side sends: now where it is between two frames, else at the end of the current one. */
export function bidFarewell (side: Side, frame: Buffer): void {
  const { tracker } = side
  if (tracker === undefined || tracker.closing || side.ended || side.muted) return
  side.farewell = frame
  if (tracker.atBoundary) sendOff(side, frame)
}

function sendOff (side: Side, frame: Buffer): void {
  side.muted = true
  side.tunnel.bidden()
  side.peer.stream.end(frame)
}

/** The rest of the current frame, and after it the farewell; all of the chunk where the frame goes on beyond it. */
export function takeLeave (side: Side, chunk: Buffer, frame: Buffer): void {
  const tracker = side.tracker as Tracker
  const end = tracker.push(chunk, true)
  if (tracker.closing) side.tunnel.sideLeaves(side)
  if (!tracker.atBoundary || tracker.closing) return pass(side, chunk)
  side.peer.stream.write(chunk.subarray(0, end))
  sendOff(side, frame)
}
