/**
 * Where we differ from httpd on purpose: by the scenario's name, the row in docs/differences-from-httpd.md and what we do
 * instead, exactly.
 */
import type { Scenario } from './table.ts'

export const differences: Readonly<Record<string, Pick<Scenario, 'differs' | 'ours'>>> = {
  'bodies / Expect: 100-continue': {
    differs: 'expect-100',
    ours: [
      '< 100 Continue', '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> POST /x HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', '  body "hello"'
    ]
  },
  'bodies / no fallback / a length': {
    differs: 'upgrade-body',
    ours: [
      '< 400', '< fin'
    ]
  },
  'bodies / no fallback / chunks': {
    differs: 'upgrade-body',
    ours: [
      '< 400', '< fin'
    ]
  },
  'bodies / no fallback / length and chunks': {
    differs: 'upgrade-body',
    ours: [
      '< 400', '< fin'
    ]
  },
  'bodies / plain / gzip and chunks': {
    differs: 'request-coding',
    ours: [
      '< 501', '< fin'
    ]
  },
  'bodies / plain / identity': {
    differs: 'request-coding',
    ours: [
      '< 501', '< fin'
    ]
  },
  'bodies / plain / length and chunks': {
    differs: 'request-parser',
    ours: [
      '< 400', '< fin'
    ]
  },
  'bodies / smuggled in an upgrade without fallback': {
    differs: 'upgrade-body',
    ours: [
      '< 400', '< fin'
    ]
  },
  'bodies / with an offer that is not accepted / gzip and chunks': {
    differs: 'request-coding',
    ours: [
      '< 501', '< fin'
    ]
  },
  'bodies / with an offer that is not accepted / identity': {
    differs: 'request-coding',
    ours: [
      '< 501', '< fin'
    ]
  },
  'bodies / with an offer that is not accepted / length and chunks': {
    differs: 'request-parser',
    ours: [
      '< 400', '< fin'
    ]
  },
  'bodies / with an upgrade / 100 kB': {
    differs: 'upgrade-body',
    ours: [
      '< 400', '< fin'
    ]
  },
  'bodies / with an upgrade / 100 kB in chunks': {
    differs: 'upgrade-body',
    ours: [
      '< 400', '< fin'
    ]
  },
  'bodies / with an upgrade / a length': {
    differs: 'upgrade-body',
    ours: [
      '< 400', '< fin'
    ]
  },
  'bodies / with an upgrade / chunks': {
    differs: 'upgrade-body',
    ours: [
      '< 400', '< fin'
    ]
  },
  'bodies / with an upgrade / chunks with an extension and a trailer': {
    differs: 'upgrade-body',
    ours: [
      '< 400', '< fin'
    ]
  },
  'bodies / with an upgrade / gzip and chunks': {
    differs: 'upgrade-body',
    ours: [
      '< 501', '< fin'
    ]
  },
  'bodies / with an upgrade / identity': {
    differs: 'upgrade-body',
    ours: [
      '< 501', '< fin'
    ]
  },
  'bodies / with an upgrade / length and chunks': {
    differs: 'upgrade-body',
    ours: [
      '< 400', '< fin'
    ]
  },
  'bodies / with an upgrade / no chunk at all': {
    differs: 'upgrade-body',
    ours: [
      '< 400', '< fin'
    ]
  },
  'headers / Connection names Authorization': {
    differs: 'connection-names',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '  upgrade: websocket', '< bytes "hellopong"', '< fin', 'A> GET /x HTTP/1.1', '  authorization: Bearer abc',
      '  connection: upgrade', '  cookie: a=1', '  host: {A}', '  origin: https://app.example',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', '  x-mine: 1', '  x-other: 2', 'A> bytes "ping"',
      'A> fin'
    ]
  },
  'headers / Connection names Cookie': {
    differs: 'connection-names',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '  upgrade: websocket', '< bytes "hellopong"', '< fin', 'A> GET /x HTTP/1.1', '  authorization: Bearer abc',
      '  connection: upgrade', '  cookie: a=1', '  host: {A}', '  origin: https://app.example',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', '  x-mine: 1', '  x-other: 2', 'A> bytes "ping"',
      'A> fin'
    ]
  },
  'headers / Connection names Origin': {
    differs: 'connection-names',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '  upgrade: websocket', '< bytes "hellopong"', '< fin', 'A> GET /x HTTP/1.1', '  authorization: Bearer abc',
      '  connection: upgrade', '  cookie: a=1', '  host: {A}', '  origin: https://app.example',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', '  x-mine: 1', '  x-other: 2', 'A> bytes "ping"',
      'A> fin'
    ]
  },
  'headers / Connection names Sec-WebSocket-Version': {
    differs: 'connection-names',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '  upgrade: websocket', '< bytes "hellopong"', '< fin', 'A> GET /x HTTP/1.1', '  authorization: Bearer abc',
      '  connection: upgrade', '  cookie: a=1', '  host: {A}', '  origin: https://app.example',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', '  x-mine: 1', '  x-other: 2', 'A> bytes "ping"',
      'A> fin'
    ]
  },
  'headers / no fallback / Cookie on two lines': {
    differs: 'merged-fields',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '  upgrade: websocket', '< bytes "hellopong"', '< fin', 'A> GET /x HTTP/1.1', '  connection: upgrade', '  cookie: a=1; b=2',
      '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> fin'
    ]
  },
  'headers / no fallback / Proxy-Authorization': {
    differs: 'proxy-authorization',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '  upgrade: websocket', '< bytes "hellopong"', '< fin', 'A> GET /x HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> fin'
    ]
  },
  'headers / no fallback / X-Forwarded-For': {
    differs: 'forwarded-trust',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '  upgrade: websocket', '< bytes "hellopong"', '< fin', 'A> GET /x HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> fin'
    ]
  },
  'headers / plain / Cookie on two lines': {
    differs: 'merged-fields',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /x HTTP/1.1', '  cookie: a=1; b=2', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'headers / plain / Expect': {
    differs: 'expect-100',
    ours: [
      '< 100 Continue', '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'headers / plain / Forwarded': {
    differs: 'forwarded-trust',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'headers / plain / HTTP2-Settings': {
    differs: 'proxy-authorization',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'headers / plain / Max-Forwards': {
    differs: 'max-forwards',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}', '  max-forwards: 5',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'headers / plain / Proxy-Authorization': {
    differs: 'proxy-authorization',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'headers / plain / Range': {
    differs: 'ranges',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}', '  if-none-match: "x"',
      '  range: bytes=0-1', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'headers / plain / X-Forwarded-For': {
    differs: 'forwarded-trust',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'headers / plain / X-Forwarded-Host': {
    differs: 'forwarded-trust',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'headers / plain / X-Forwarded-Proto': {
    differs: 'forwarded-trust',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'headers / plain / X-Forwarded-Server': {
    differs: 'forwarded-trust',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'headers / plain / X_Forwarded_For, with underscores': {
    differs: 'forwarded-trust',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'headers / plain / a header twice': {
    differs: 'merged-fields',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', '  x-twice: 1', '  x-twice: 2'
    ]
  },
  'headers / plain / another Expect': {
    differs: 'expect-100',
    ours: [
      '< 417', '< kept'
    ]
  },
  'headers / the client\'s spelling of the protocol': {
    differs: 'canonical-token',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '  upgrade: websocket', '< bytes "hellopong"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> fin'
    ]
  },
  'headers / the forwarded fields, as they are': {
    differs: 'forwarded-fields',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', '  x-forwarded-proto: http'
    ]
  },
  'headers / the protocol, as it is spelled': {
    differs: 'canonical-token',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '  upgrade: websocket', '< bytes "hellopong"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> fin'
    ]
  },
  'headers / upgrade / Cookie on two lines': {
    differs: 'merged-fields',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '  upgrade: websocket', '< bytes "hellopong"', '< fin', 'A> GET /x HTTP/1.1', '  connection: upgrade', '  cookie: a=1; b=2',
      '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> fin'
    ]
  },
  'headers / upgrade / Expect': {
    differs: 'expect-100',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '  upgrade: websocket', '< bytes "hellopong"', '< fin', 'A> GET /x HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> fin'
    ]
  },
  'headers / upgrade / Forwarded': {
    differs: 'forwarded-trust',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '  upgrade: websocket', '< bytes "hellopong"', '< fin', 'A> GET /x HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> fin'
    ]
  },
  'headers / upgrade / HTTP2-Settings': {
    differs: 'proxy-authorization',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '  upgrade: websocket', '< bytes "hellopong"', '< fin', 'A> GET /x HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> fin'
    ]
  },
  'headers / upgrade / Max-Forwards': {
    differs: 'max-forwards',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '  upgrade: websocket', '< bytes "hellopong"', '< fin', 'A> GET /x HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  max-forwards: 5', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> fin'
    ]
  },
  'headers / upgrade / Proxy-Authorization': {
    differs: 'proxy-authorization',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '  upgrade: websocket', '< bytes "hellopong"', '< fin', 'A> GET /x HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> fin'
    ]
  },
  'headers / upgrade / X-Forwarded-For': {
    differs: 'forwarded-trust',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '  upgrade: websocket', '< bytes "hellopong"', '< fin', 'A> GET /x HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> fin'
    ]
  },
  'headers / upgrade / X-Forwarded-Host': {
    differs: 'forwarded-trust',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '  upgrade: websocket', '< bytes "hellopong"', '< fin', 'A> GET /x HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> fin'
    ]
  },
  'headers / upgrade / X-Forwarded-Proto': {
    differs: 'forwarded-trust',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '  upgrade: websocket', '< bytes "hellopong"', '< fin', 'A> GET /x HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> fin'
    ]
  },
  'headers / upgrade / X-Forwarded-Server': {
    differs: 'forwarded-trust',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '  upgrade: websocket', '< bytes "hellopong"', '< fin', 'A> GET /x HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> fin'
    ]
  },
  'headers / upgrade / X_Forwarded_For, with underscores': {
    differs: 'forwarded-trust',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '  upgrade: websocket', '< bytes "hellopong"', '< fin', 'A> GET /x HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> fin'
    ]
  },
  'headers / upgrade / a header twice': {
    differs: 'merged-fields',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '  upgrade: websocket', '< bytes "hellopong"', '< fin', 'A> GET /x HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', '  x-twice: 1', '  x-twice: 2', 'A> bytes "ping"',
      'A> fin'
    ]
  },
  'headers / upgrade / another Expect': {
    differs: 'expect-100',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '  upgrade: websocket', '< bytes "hellopong"', '< fin', 'A> GET /x HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> fin'
    ]
  },
  'headers / via: on': {
    differs: 'via',
    ours: [
      '< 200 OK', '  via: 1.1 upstream, 1.1 fastify-wstunnel', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /x HTTP/1.1',
      '  host: {A}', '  via: 1.1 fastify-wstunnel', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'paths / CONNECT host:port': {
    differs: 'connect-trace',
    ours: [
      '< fin'
    ]
  },
  'paths / CONNECT with a path and an upgrade': {
    differs: 'connect-trace',
    ours: [
      '< fin'
    ]
  },
  'paths / GET *': {
    differs: 'request-parser',
    ours: [
      '< 404', '< kept'
    ]
  },
  'paths / GET //ws/a': {
    differs: 'double-slash',
    ours: [
      '< 404', '< kept'
    ]
  },
  'paths / GET /ws/%2e%2e/x': {
    differs: 'raw-path',
    ours: [
      '< 400', '< fin'
    ]
  },
  'paths / GET /ws/%41': {
    differs: 'raw-path',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /app/%41 HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'paths / GET /ws/%zz': {
    differs: 'raw-path',
    ours: [
      '< 400', '< kept'
    ]
  },
  'paths / GET /ws/.': {
    differs: 'raw-path',
    ours: [
      '< 400', '< fin'
    ]
  },
  'paths / GET /ws/..': {
    differs: 'raw-path',
    ours: [
      '< 400', '< fin'
    ]
  },
  'paths / GET /ws/../x': {
    differs: 'raw-path',
    ours: [
      '< 400', '< fin'
    ]
  },
  'paths / GET /ws/..;/x': {
    differs: 'raw-path',
    ours: [
      '< 400', '< fin'
    ]
  },
  'paths / GET /ws//a//b': {
    differs: 'double-slash',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /app//a//b HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'paths / GET /ws/a"b': {
    differs: 'raw-path',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /app/a"b HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'paths / GET /ws/a%00b': {
    differs: 'raw-path',
    ours: [
      '< 400', '< fin'
    ]
  },
  'paths / GET /ws/a%0d%0aX:1': {
    differs: 'raw-path',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /app/a%0d%0aX:1 HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'paths / GET /ws/a%2Fb': {
    differs: 'encoded-slash',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /app/a%2Fb HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'paths / GET /ws/a%3Bp': {
    differs: 'raw-path',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /app/a%3Bp HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'paths / GET /ws/a%7Eb': {
    differs: 'raw-path',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /app/a%7Eb HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'paths / GET /ws/a/../b': {
    differs: 'raw-path',
    ours: [
      '< 400', '< fin'
    ]
  },
  'paths / GET /ws/a/./b': {
    differs: 'raw-path',
    ours: [
      '< 400', '< fin'
    ]
  },
  'paths / GET /ws/a<b>': {
    differs: 'raw-path',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /app/a<b> HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'paths / GET /ws/a\\b': {
    differs: 'raw-path',
    ours: [
      '< 400', '< fin'
    ]
  },
  'paths / GET /ws/a^b': {
    differs: 'raw-path',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /app/a^b HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'paths / GET /ws/a`b': {
    differs: 'raw-path',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /app/a`b HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'paths / GET /ws/a|b': {
    differs: 'raw-path',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /app/a|b HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'paths / GET /ws/a\xe9': {
    differs: 'raw-path',
    ours: [
      '< 400', '< fin'
    ]
  },
  'paths / a WebSocket at /ws/../x': {
    differs: 'raw-path',
    ours: [
      '< 400', '< fin'
    ]
  },
  'paths / a WebSocket at /ws/a%2Fb': {
    differs: 'encoded-slash',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '  upgrade: websocket', '< bytes "hellopong"', '< fin', 'A> GET /app/a%2Fb HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> fin'
    ]
  },
  'paths / GET http://other.example:99/ws/a': {
    differs: 'absolute-form',
    ours: [
      '< 400', '< fin'
    ]
  },
  'paths / an upgrade in absolute form': {
    differs: 'absolute-form',
    ours: [
      '< 400', '< fin'
    ]
  },
  'paths / method FROB': {
    differs: 'request-parser',
    ours: [
      '< 400', '< fin'
    ]
  },
  'paths / method TRACE': {
    differs: 'connect-trace',
    ours: [
      '< 404', '< kept'
    ]
  },
  'paths / method get': {
    differs: 'request-parser',
    ours: [
      '< 400', '< fin'
    ]
  },
  'replies / 101 / http, upgrade / Connection names Accept': {
    differs: 'connection-names',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '  upgrade: websocket', '< bytes "hellopong"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> fin'
    ]
  },
  'replies / 101 / http, upgrade / HTTP/1.0': {
    differs: 'strict-framing',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> fin'
    ]
  },
  'replies / 101 / http, upgrade / a 103 before': {
    differs: 'interim',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '  upgrade: websocket', '< bytes "hellopong"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> fin'
    ]
  },
  'replies / 101 / http, upgrade / a length': {
    differs: 'headers-of-101',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '  upgrade: websocket', '< bytes "hellopong"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> fin'
    ]
  },
  'replies / 101 / http, upgrade / a wrong Accept': {
    differs: 'verified-101',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> fin'
    ]
  },
  'replies / 101 / http, upgrade / bare LF': {
    differs: 'strict-framing',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> fin'
    ]
  },
  'replies / 101 / http, upgrade / no Accept': {
    differs: 'verified-101',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> fin'
    ]
  },
  'replies / 101 / http, upgrade / without Connection': {
    differs: 'verified-101',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> fin'
    ]
  },
  'replies / 101 / ws / Connection names Accept': {
    differs: 'connection-names',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '  upgrade: websocket', '< bytes "hellopong"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> fin'
    ]
  },
  'replies / 101 / ws / HTTP/1.0': {
    differs: 'strict-framing',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> fin'
    ]
  },
  'replies / 101 / ws / a 103 before': {
    differs: 'interim',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '  upgrade: websocket', '< bytes "hellopong"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> fin'
    ]
  },
  'replies / 101 / ws / a length': {
    differs: 'headers-of-101',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '  upgrade: websocket', '< bytes "hellopong"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> fin'
    ]
  },
  'replies / 101 / ws / a wrong Accept': {
    differs: 'verified-101',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> fin'
    ]
  },
  'replies / 101 / ws / bare LF': {
    differs: 'strict-framing',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> fin'
    ]
  },
  'replies / 101 / ws / no Accept': {
    differs: 'verified-101',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> fin'
    ]
  },
  'replies / 101 / ws / without Connection': {
    differs: 'verified-101',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> fin'
    ]
  },
  'replies / 101 / ws, no fallback / HTTP/1.0': {
    differs: 'strict-framing',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> fin'
    ]
  },
  'replies / 101 / ws, no fallback / Upgrade: h2c': {
    differs: 'verified-101',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> fin'
    ]
  },
  'replies / 101 / ws, no fallback / Upgrade: websocket, foo': {
    differs: 'verified-101',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> fin'
    ]
  },
  'replies / 101 / ws, no fallback / a wrong Accept': {
    differs: 'verified-101',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> fin'
    ]
  },
  'replies / 101 / ws, no fallback / bare LF': {
    differs: 'strict-framing',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> fin'
    ]
  },
  'replies / 101 / ws, no fallback / no Accept': {
    differs: 'verified-101',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> fin'
    ]
  },
  'replies / 101 / ws, no fallback / without Connection': {
    differs: 'verified-101',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> fin'
    ]
  },
  'replies / 101 / ws, no fallback / without Upgrade': {
    differs: 'verified-101',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> fin'
    ]
  },
  'replies / no fallback / HTTP/2 in the status line': {
    differs: 'no-http09',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / no fallback / a body that is cut short': {
    differs: 'cut-answer',
    ours: [
      '< 200 OK (cut short)', '  content-length: 10', '  x-from: upstream', '  body "short"', '< reset',
      'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / no fallback / a chunk size that is none': {
    differs: 'no-blind-tunnel',
    ours: [
      '< 200 OK (cut short)', '  x-from: upstream', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / no fallback / a header without a colon': {
    differs: 'strict-framing',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / no fallback / a reset without a byte': {
    differs: 'complete-502',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> reset by itself'
    ]
  },
  'replies / no fallback / an SSH banner': {
    differs: 'no-http09',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / no fallback / an end without a byte': {
    differs: 'complete-502',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / no fallback / chunks that are cut short': {
    differs: 'cut-answer',
    ours: [
      '< 200 OK (cut short)', '  x-from: upstream', '  body "5\\r\\nhel"', '< reset', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / no fallback / half a head': {
    differs: 'complete-502',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / no fallback / length and chunks': {
    differs: 'strict-framing',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / no fallback / no HTTP': {
    differs: 'no-http09',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / no fallback / no HTTP, and no line': {
    differs: 'no-http09',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / no fallback / silence': {
    differs: 'off-timeouts',
    ours: [
      '< 504', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / no fallback / status 600': {
    differs: 'no-http09',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / no fallback / two lengths': {
    differs: 'strict-framing',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / plain / 102 before': {
    differs: 'interim',
    ours: [
      '< 102 Processing', '< 200 OK', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / plain / 103 before': {
    differs: 'interim',
    ours: [
      '< 103 Early Hints', '  link: </a.css>; rel=preload', '< 200 OK', '  x-from: upstream', '  body "hi"', '< kept',
      'A> GET /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / plain / 400': {
    differs: 'keeps-connection',
    ours: [
      '< 400 Bad Request', '  x-from: upstream', '  body "bad"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / plain / 500': {
    differs: 'keeps-connection',
    ours: [
      '< 500 Internal Server Error', '  x-from: upstream', '  body "oops"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / plain / 503': {
    differs: 'keeps-connection',
    ours: [
      '< 503 Service Unavailable', '  retry-after: 3', '  x-from: upstream', '  body "later"', '< kept', 'A> GET /x HTTP/1.1',
      '  host: {A}', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / plain / HTTP/2 in the status line': {
    differs: 'no-http09',
    ours: [
      '< 502', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / plain / a chunk size that is none': {
    differs: 'strict-framing',
    ours: [
      '< 200 OK (cut short)', '  x-from: upstream', '< fin', 'A> GET /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1',
      '  x-forwarded-host: front.example'
    ]
  },
  'replies / plain / a control character in a header': {
    differs: 'strict-framing',
    ours: [
      '< 502', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / plain / a folded header': {
    differs: 'strict-framing',
    ours: [
      '< 502', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / plain / a header of 9 kB': {
    differs: 'limits',
    ours: [
      '< 200 OK', '  x-from: upstream',
      '  x-long: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"… 9000 bytes',
      '  body "hi"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1',
      '  x-forwarded-host: front.example'
    ]
  },
  'replies / plain / a space before the colon': {
    differs: 'strict-framing',
    ours: [
      '< 502', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / plain / an SSH banner': {
    differs: 'no-http09',
    ours: [
      '< 502', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / plain / an empty reason': {
    differs: 'empty-reason',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / plain / bare LF': {
    differs: 'strict-framing',
    ours: [
      '< 502', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / plain / length and chunks': {
    differs: 'strict-framing',
    ours: [
      '< 502', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / plain / no HTTP': {
    differs: 'no-http09',
    ours: [
      '< 502', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / plain / no reason at all': {
    differs: 'empty-reason',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / plain / no such name': {
    differs: 'name-502',
    ours: [
      '< 502', '< kept'
    ]
  },
  'replies / plain / nobody listens': {
    differs: 'keeps-connection',
    ours: [
      '< 503', '< kept'
    ]
  },
  'replies / plain / silence': {
    differs: 'timeout-504',
    ours: [
      '< 504', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / plain / silence in the head': {
    differs: 'timeout-504',
    ours: [
      '< 504', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / plain / status 600': {
    differs: 'no-http09',
    ours: [
      '< 502', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / plain / ten interim replies before': {
    differs: 'interim',
    ours: [
      ...Array.from({ length: 8 }, () => ['< 103 Early Hints', '  link: </a.css>; rel=preload']).flat(),
      '< 502', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / plain / the same length twice': {
    differs: 'strict-framing',
    ours: [
      '< 502', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / plain / two interim replies before': {
    differs: 'interim',
    ours: [
      '< 103 Early Hints', '  link: </a.css>; rel=preload', '< 103 Early Hints', '  link: </a.css>; rel=preload', '< 200 OK',
      '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1',
      '  x-forwarded-host: front.example'
    ]
  },
  'replies / plain / two lengths': {
    differs: 'strict-framing',
    ours: [
      '< 502', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / upgrade / 102 before': {
    differs: 'interim',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / upgrade / 103 before': {
    differs: 'interim',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / upgrade / 200 that advertises websocket': {
    differs: 'upgrade-in-response',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / upgrade / HTTP/2 in the status line': {
    differs: 'no-http09',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / upgrade / a control character in a header': {
    differs: 'strict-framing',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / upgrade / a folded header': {
    differs: 'strict-framing',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / upgrade / a header of 9 kB': {
    differs: 'limits',
    ours: [
      '< 200 OK', '  x-from: upstream',
      '  x-long: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"… 9000 bytes',
      '  body "hi"', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / upgrade / a space before the colon': {
    differs: 'strict-framing',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / upgrade / an SSH banner': {
    differs: 'no-http09',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / upgrade / an empty reason': {
    differs: 'empty-reason',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / upgrade / another coding': {
    differs: 'strict-framing',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / upgrade / bare LF': {
    differs: 'strict-framing',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / upgrade / length and chunks': {
    differs: 'strict-framing',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / upgrade / no HTTP': {
    differs: 'no-http09',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / upgrade / no reason at all': {
    differs: 'empty-reason',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / upgrade / no such name': {
    differs: 'name-502',
    ours: [
      '< 502', '< kept'
    ]
  },
  'replies / upgrade / silence': {
    differs: 'timeout-504',
    ours: [
      '< 504', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / upgrade / silence in the head': {
    differs: 'timeout-504',
    ours: [
      '< 504', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / upgrade / status 600': {
    differs: 'no-http09',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / upgrade / ten interim replies before': {
    differs: 'interim',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / upgrade / the same length twice': {
    differs: 'strict-framing',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / upgrade / two interim replies before': {
    differs: 'interim',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'replies / upgrade / two lengths': {
    differs: 'strict-framing',
    ours: [
      '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'requests / 101 headers': {
    differs: 'limits',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: a', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1',
      '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1',
      '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1',
      '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1',
      '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1',
      '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1',
      '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1',
      '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1',
      '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1',
      '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1',
      '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1',
      '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1',
      '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1',
      '  x-many: 1'
    ]
  },
  'requests / HTTP/1.2': {
    differs: 'request-parser',
    ours: [
      '< 400', '< fin'
    ]
  },
  'requests / HTTP/2.0': {
    differs: 'request-parser',
    ours: [
      '< 400', '< fin'
    ]
  },
  'requests / a folded header': {
    differs: 'request-parser',
    ours: [
      '< 400', '< fin'
    ]
  },
  'requests / a header of 9 kB': {
    differs: 'limits',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}',
      '  x: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"… 9000 bytes',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: a'
    ]
  },
  'requests / a request target of 9 kB': {
    differs: 'limits',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept',
      'A> "GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"… 9014 bytes',
      '  host: {A}', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: a'
    ]
  },
  'requests / an empty Host': {
    differs: 'request-parser',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1'
    ]
  },
  'requests / no fallback / a request after a refused upgrade': {
    differs: 'no-blind-tunnel',
    ours: [
      '< 403 Forbidden', '  x-from: upstream', '  body "no"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade',
      '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'requests / two spaces': {
    differs: 'request-parser',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: a'
    ]
  },
  'tunnels / an idle tunnel, no fallback': {
    differs: 'off-timeouts',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '  upgrade: websocket', '< bytes "hello"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> fin'
    ]
  },
  'tunnels / http, upgrade / bytes with a handshake that is refused': {
    differs: 'early-bytes',
    ours: [
      '< 403 Forbidden', '  x-from: upstream', '  body "no"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade',
      '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'tunnels / http, upgrade / the client ends before the answer': {
    differs: 'client-gone',
    ours: [
      '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
      '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example',
      'A> fin'
    ]
  },
  'tunnels / http, upgrade / the client resets': {
    differs: 'reset',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '  upgrade: websocket', '< bytes "pong"', '< reset by itself', 'A> GET /chat HTTP/1.1', '  connection: upgrade',
      '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> reset'
    ]
  },
  'tunnels / http, upgrade / the upstream resets': {
    differs: 'reset',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '  upgrade: websocket', '< reset', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> reset by itself'
    ]
  },
  'tunnels / ws / bytes with a handshake that is refused': {
    differs: 'early-bytes',
    ours: [
      '< 403 Forbidden', '  x-from: upstream', '  body "no"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade',
      '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'tunnels / ws / the client ends before the answer': {
    differs: 'client-gone',
    ours: [
      '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
      '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example',
      'A> fin'
    ]
  },
  'tunnels / ws / the client resets': {
    differs: 'reset',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '  upgrade: websocket', '< bytes "pong"', '< reset by itself', 'A> GET /chat HTTP/1.1', '  connection: upgrade',
      '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> reset'
    ]
  },
  'tunnels / ws / the upstream resets': {
    differs: 'reset',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '  upgrade: websocket', '< reset', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> reset by itself'
    ]
  },
  'tunnels / ws, no fallback / bytes after a refusal': {
    differs: 'no-blind-tunnel',
    ours: [
      '< 403 Forbidden', '  x-from: upstream', '  body "no"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade',
      '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> fin'
    ]
  },
  'tunnels / ws, no fallback / bytes with a handshake that is refused': {
    differs: 'early-bytes',
    ours: [
      '< 403 Forbidden', '  x-from: upstream', '  body "no"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade',
      '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'tunnels / ws, no fallback / bytes with the handshake': {
    differs: 'early-bytes',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '  upgrade: websocket', '< bytes "late"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "early"', 'A> fin'
    ]
  },
  'tunnels / ws, no fallback / the client ends before the answer': {
    differs: 'client-gone',
    ours: [
      '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
      '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example',
      'A> fin'
    ]
  },
  'tunnels / ws, no fallback / the client ends first, the upstream talks on': {
    differs: 'half-close',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '  upgrade: websocket', '< bytes "goodbye"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "last"', 'A> fin'
    ]
  },
  'tunnels / ws, no fallback / the client resets': {
    differs: 'reset',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '  upgrade: websocket', '< bytes "pong"', '< reset by itself', 'A> GET /chat HTTP/1.1', '  connection: upgrade',
      '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> reset'
    ]
  },
  'tunnels / ws, no fallback / the upstream ends first, the client talks on': {
    differs: 'half-close',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '  upgrade: websocket', '< bytes "last"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "goodbye"', 'A> fin'
    ]
  },
  'tunnels / ws, no fallback / the upstream resets': {
    differs: 'reset',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '  upgrade: websocket', '< reset', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> reset by itself'
    ]
  },
  'headers / Connection names Content-Encoding, plain': {
    differs: 'connection-names',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> POST /x HTTP/1.1', '  content-encoding: identity', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', '  body "hello"'
    ]
  },
  'headers / Connection names Content-Type, plain': {
    differs: 'connection-names',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> POST /x HTTP/1.1', '  content-type: text/plain', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', '  body "hello"'
    ]
  },
  'headers / Connection names Via, plain': {
    differs: 'connection-names',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> POST /x HTTP/1.1', '  host: {A}', '  via: 1.0 other',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', '  body "hello"'
    ]
  },
  'headers / Connection names X-Forwarded-For, plain': {
    differs: 'connection-names',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> POST /x HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 6.6.6.6, 127.0.0.1', '  x-forwarded-host: front.example', '  body "hello"'
    ]
  },
  'headers / Connection names X-Forwarded-Proto, plain': {
    differs: 'connection-names',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> POST /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1',
      '  x-forwarded-host: front.example', '  x-forwarded-proto: https', '  body "hello"'
    ]
  },
  'headers / Connection names traceparent, plain': {
    differs: 'connection-names',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> POST /x HTTP/1.1', '  host: {A}',
      '  traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', '  x-forwarded-for: 127.0.0.1',
      '  x-forwarded-host: front.example', '  body "hello"'
    ]
  },
  'headers / Connection names tracestate, plain': {
    differs: 'connection-names',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> POST /x HTTP/1.1', '  host: {A}', '  tracestate: a=b',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', '  body "hello"'
    ]
  },
  'headers / Connection of a response names Content-Encoding': {
    differs: 'connection-names',
    ours: [
      '< 200 OK', '  content-encoding: identity', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'headers / Connection of a response names Content-Type': {
    differs: 'connection-names',
    ours: [
      '< 200 OK', '  content-type: text/plain', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'headers / Connection of a response names Date': {
    differs: 'connection-names',
    ours: [
      '< 200 OK', '  date: Sun, 06 Nov 1994 08:49:37 GMT', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /x HTTP/1.1',
      '  host: {A}', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'headers / Connection of a response names Location': {
    differs: 'connection-names',
    ours: [
      '< 200 OK', '  location: /elsewhere', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'headers / Connection of a response names Set-Cookie': {
    differs: 'connection-names',
    ours: [
      '< 200 OK', '  set-cookie: a=1', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'headers / Connection of a response names WWW-Authenticate': {
    differs: 'connection-names',
    ours: [
      '< 200 OK', '  www-authenticate: Basic realm="x"', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  }
}
