/** The page as one file, and the Content-Security-Policy that lets it run and nothing else. */
import { createHash } from 'node:crypto'
import { calculations } from './page-calculations.ts'
import { markup } from './page-markup.ts'
import { parts } from './page-parts.ts'
import { start } from './page-start.ts'
import { style } from './page-style.ts'
import { view } from './page-view.ts'

/** The script as it is sent: the calculations, which do not use the document, the parts of the page, the view, and the start. */
export const script: string = `(function () {\n'use strict'\n${calculations}${parts}${view}${start}})()\n`

/** The policy allows scripts and styles by hash, so that no others run; Trusted Types keep our script from writing markup. */
export const securityPolicy: string = [
  "default-src 'none'",
  `script-src '${hashOf(script)}'`,
  `style-src '${hashOf(style)}'`,
  "connect-src 'self'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'"
].join('; ')

function hashOf (text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`
}

/**
 * Returns the page.
 * @param nonce the nonce of the page's actions; `undefined` for a page without actions
 */
export function writePage (nonce: string | undefined): string {
  const meta = nonce === undefined ? '' : `<meta name="wstunnel-nonce" content="${nonce}">\n`
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
${meta}<title>fastify-wstunnel: status</title>
<link rel="icon" href="data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'><path d='M3 27V16a13 13 0 0 1 26 0v11h-6V16a7 7 0 0 0-14 0v11z' fill='%230f7b6c'/></svg>">
<style>${style}</style>
</head>
<body>
${markup}
<script>${script}</script>
</body>
</html>
`
}
