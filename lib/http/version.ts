/** The HTTP version of a request. */

/**
 * Returns true if the request came over HTTP/2. Only the stream tells: on HTTP/1, Node's parser accepts any version that a client writes,
 * such as 0.9 and 2.0.
 */
export function isHttp2 (request: object): boolean {
  return 'stream' in request && request.stream !== undefined
}
