/** The version of HTTP that a request came by. */

/** By its stream: of HTTP/1 Node's parser takes any version that a client writes, such as 0.9 and 2.0. */
export function isHttp2 (request: object): boolean {
  return 'stream' in request && request.stream !== undefined
}
