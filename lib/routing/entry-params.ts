/** The parameters of an entry's own path, where the router has found the entry by a more specific pattern. */
import { parameterNames, type PathPrefix, type RouterRules } from '../http/path-pattern.ts'

export type Params = Record<string, string>

/**
 * @param prefix the entry's whole prefix
 * @param outer how many of its segments an outer scope has given: their parameters are the router's
 * @param path the raw path
 * @param found what the router has made of the path
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
    return text // which the router refuses
  }
}
