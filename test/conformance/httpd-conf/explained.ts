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
  'made/balancer-no-slash.conf': { 3: /\/(?:one|five)(?:\/|$)/, 7: /\/two(?:\/|$)/, 17: /^(?!.*example\/(?:one|two|three|four|five)(?:\/|$))|(?:three|five)$/ },
  'made/balancer-scopes.conf': { 13: /^ws +y\.test/ },
  'made/balancers.conf': { 13: /\/up\//, 17: /\/none/ },                                // a slash more; a balancer that is not there
  'made/by-address.conf': { 2: /star\.test/, 6: /nobody/, 10: /six\.test/ },
  'made/file-tests.conf': { 4: /./ },
  'made/first-is-redirect.conf': { 4: /old\.test|nobody/ },
  'made/guarded-shapes.conf': { 4: /\/ip/, 9: /\/any/, 17: /\/all/, 22: /\/old/, 28: /\/none/, 37: /\/limit/, 43: /\/expr/, 46: /\/proxied/ },
  'made/guards.conf': { 8: /\/admin/, 13: /\/secret/, 17: /\/denied/ },
  'made/handlers.conf': { 10: /server-status/ },
  'made/inherited.conf': { 7: /\/first\// },                                            // a slash more
  'made/lines-that-stay-dead.conf': { 7: /\/api\/wsx/, 10: /\/chat/, 14: /^ws .*\/plain\// },
  'made/location-match.conf': { 12: /\/exact/, 13: /\/wholex/ },
  'made/location-mix.conf': { 26: /\/glob/ },
  'made/location-tilde.conf': { 18: /\/t6\// },
  'made/manual-proxy.conf': { 22: /\/wholex/ },
  'made/manual-wstunnel.conf': { 11: /^ws .*\/both/ },
  'made/order-of-upgrade.conf': { 16: /\/f(?:\/|$)/, 17: /\/g(?:\/|$)/ },
  'made/redirects.conf': { 3: /example\/api$/, 4: /\/go\//, 5: /\/in\//, 7: /example\/red/, 11: /\/locred/, 14: /\/static/ },
  'made/rewrite-idioms.conf': { 9: /\/onex/, 10: /\/twox/, 13: /\/five/, 14: /\/six\//, 15: /\/seven/, 18: /\/ten\// },
  'made/rewrite-or-conditions.conf': { 6: /\/b\//, 8: /\/c\//, 11: /^ws .*\/d\// },
  'made/rewrite-passthrough.conf': { 3: /\/health/, 4: /\/gone/, 5: /\/old/, 8: /./ },
  'made/section-expressions.conf': { 12: /\/u4x/, 21: /\/u7x/, 24: /\/u8x/, 33: /\/w2\// },
  'made/shared-workers.conf': { 6: /\/root\// },
  'made/slash-mismatch.conf': { 13: /\/rxx/ },
  'made/slash-root.conf': { 2: /./ },
  'made/slashes.conf': { 2: /\/a\//, 3: /\/b\//, 7: /./ },
  'made/socket-io.conf': { 7: /^ws .*\/socket\.io/ },
  'made/spelling.conf': { 10: /q"uote\// },
  'made/three-ports.conf': { 11: /any\.test/, 15: /only\.test/ },
  'made/tls-names.conf': { 6: /(?:name.test|nobody)/ },                                // the certificate is for another name
  'made/two-ports-names.conf': { 6: /b\.test/ },
  'made/two-ports-wildcard.conf': { 2: /./ },
  'made/unanchored.conf': { 8: /\/v1x/ },
  'made/upgrade-words.conf': { 8: /^ws .*\/pre/ },
  'made/upgrades.conf': { 7: /\/none/ },
  'made/websocket-to-plain.conf': { 4: /^ws / },
  'made/worker-shared.conf': { 2: /\/a\// },
  'made/workers-by-prefix.conf': { 2: /\/hubx/ },
  'made/workers-shadowed.conf': { 2: /^ws .*\/a\/b/, 6: /^ws .*\/chat\/$/, 7: /^ws .*\/opt/ } // $1 is shorter than two characters
}
