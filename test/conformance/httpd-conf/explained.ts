/**
 * The requests that a translation answers otherwise than httpd, by the file and the line responsible. The translation has to have a note of level
 * `error` or `check` on that line; what is not here has to be the same.
 */
export const explained: Readonly<Record<string, Readonly<Record<number, RegExp>>>> = {
  'corpus/04.conf': { 10: /^ws |\/api\/v3\/users\/websocket/ },                         // conditions with OR
  'corpus/12.conf': { 4: /./ },                                                         // <If>, which lets nobody in
  'corpus/14.conf': { 13: /^ws .*\/cool\/below\/ws/ },                                  // a pattern with a suffix
  'corpus/28.conf': { 9: /^ws .*\/socket\.io/ },                                        // transport=websocket
  'corpus/32.conf': { 8: /\/wettyx/ },                                                  // no boundary in the pattern
  'corpus/34.conf': { 7: /^ws .*\/xpra1/ },                                             // a rewrite rule in a section
  'corpus/36.conf': { 9: /\/netdata\/below\/ws/, 10: /\/netdata\/below$/ },             // a host that a client chooses; a redirect
  'corpus/60.conf': { 18: /^get / },                                                    // a balancer that is not there
  'corpus/62.conf': { 7: /transport=polling/ },                                         // a condition on the query
  'made/balancers.conf': { 13: /\/up\//, 17: /\/none/ },                                // a slash more; a balancer that is not there
  'made/file-tests.conf': { 4: /./ },
  'made/guards.conf': { 8: /\/admin/, 13: /\/secret/, 17: /\/denied/ },
  'made/inherited.conf': { 7: /\/first\// },                                            // a slash more
  'made/location-match.conf': { 12: /\/exact/, 13: /\/wholex/ },
  'made/redirects.conf': { 3: /example\/api$/, 4: /\/go\//, 5: /\/in\//, 7: /example\/red/, 11: /\/locred/, 14: /\/static/ },
  'made/slash-root.conf': { 2: /./ },
  'made/slashes.conf': { 2: /\/a\//, 3: /\/b\//, 7: /./ },
  'made/socket-io.conf': { 7: /^ws .*\/socket\.io/ },
  'made/unanchored.conf': { 8: /\/v1x/ },
  'made/upgrades.conf': { 7: /\/none/ },
  'made/websocket-to-plain.conf': { 4: /^ws / },
  'made/worker-shared.conf': { 2: /\/a\// },
  'made/workers-by-prefix.conf': { 2: /\/hubx/ }
}
