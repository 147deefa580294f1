/** The parameters of an entry's own path, for a request that the router matched by a more specific pattern. */
import { parameterNames, type PathPrefix, type RouterRules } from '../http/path-pattern.ts'

export type Params = Record<string, string>

/**
 * Returns the parameters by name.
 * @param prefix the entry's whole prefix
 * @param outer how many of its segments an outer scope has given: the router supplies their parameters
 * @param path the raw path
 * @param found the parameters that the router found
 */
export function entryParams (prefix: PathPrefix, outer: number, path: string, found: Params, rules: RouterRules): Params {
  const merged = rules.ignoreDuplicateSlashes ? path.replace(/\/{2,}/g, '/') : path
  const parts = merged.slice(1).split('/')
  const params: Params = {}
  for (const [i, { kind, text }] of prefix.segments.entries()) {
    if (i >= outer && kind === 'parameter') params[text.slice(1)] = decode(parts[i] ?? '')
    else if (kind !== 'static') for (const name of parameterNames(text)) params[name] = found[name] ?? ''
  }
  const rest = parts.slice(prefix.segments.length).join('/')
  params['*'] = decode(rules.ignoreTrailingSlash ? rest.replace(/\/$/, '') : rest)
  return params
}

function decode (text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text // the router refuses such a path
  }
}
