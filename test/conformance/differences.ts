/**
 * Where we differ from httpd on purpose: by the row of docs/differences-from-httpd.md, what we do instead, exactly, and the
 * scenarios that show it.
 */
import { byScenario, type Differences } from './differences-form.ts'

export const differences: Differences = byScenario({
  'expect-100': [
    {
      ours: [
        '< 100 Continue', '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> POST /x HTTP/1.1', '  host: {A}',
        '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', '  body "hello"'
      ],
      scenarios: ['bodies / Expect: 100-continue']
    },
    {
      ours: [
        '< 100 Continue', '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}',
        '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
      ],
      scenarios: ['headers / plain / Expect']
    },
    {
      ours: ['< 417', '< kept'],
      scenarios: ['headers / plain / another Expect']
    },
    {
      ours: [
        '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=', '  upgrade: websocket',
        '< bytes "hellopong"', '< fin', 'A> GET /x HTTP/1.1', '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
        '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "ping"',
        'A> fin'
      ],
      scenarios: ['headers / upgrade / Expect', 'headers / upgrade / another Expect']
    }
  ],
  'upgrade-body': [
    {
      ours: ['< 400', '< fin'],
      scenarios: [
        'bodies / no fallback / a length', 'bodies / no fallback / chunks', 'bodies / no fallback / length and chunks',
        'bodies / smuggled in an upgrade without fallback', 'bodies / with an upgrade / 100 kB', 'bodies / with an upgrade / 100 kB in chunks',
        'bodies / with an upgrade / a length', 'bodies / with an upgrade / chunks',
        'bodies / with an upgrade / chunks with an extension and a trailer', 'bodies / with an upgrade / length and chunks',
        'bodies / with an upgrade / no chunk at all'
      ]
    },
    {
      ours: ['< 501', '< fin'],
      scenarios: ['bodies / with an upgrade / gzip and chunks', 'bodies / with an upgrade / identity']
    }
  ],
  'request-coding': [
    {
      ours: ['< 501', '< fin'],
      scenarios: [
        'bodies / plain / gzip and chunks', 'bodies / plain / identity', 'bodies / with an offer that is not accepted / gzip and chunks',
        'bodies / with an offer that is not accepted / identity'
      ]
    }
  ],
  'request-parser': [
    {
      ours: ['< 400', '< fin'],
      scenarios: [
        'bodies / plain / length and chunks', 'bodies / with an offer that is not accepted / length and chunks', 'paths / method FROB',
        'paths / method get', 'requests / HTTP/1.2', 'requests / HTTP/2.0', 'requests / a folded header'
      ]
    },
    {
      ours: ['< 404', '< kept'],
      scenarios: ['paths / GET *']
    },
    {
      ours: ['< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1'],
      scenarios: ['requests / an empty Host']
    },
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: a'
      ],
      scenarios: ['requests / two spaces']
    }
  ],
  'connection-names': [
    {
      ours: [
        '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=', '  upgrade: websocket',
        '< bytes "hellopong"', '< fin', 'A> GET /x HTTP/1.1', '  authorization: Bearer abc', '  connection: upgrade', '  cookie: a=1', '  host: {A}',
        '  origin: https://app.example', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
        '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', '  x-mine: 1', '  x-other: 2', 'A> bytes "ping"', 'A> fin'
      ],
      scenarios: [
        'headers / Connection names Authorization', 'headers / Connection names Cookie', 'headers / Connection names Origin',
        'headers / Connection names Sec-WebSocket-Version'
      ]
    },
    {
      ours: [
        '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=', '  upgrade: websocket',
        '< bytes "hellopong"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
        '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> fin'
      ],
      scenarios: ['replies / 101 / http, upgrade / Connection names Accept', 'replies / 101 / ws / Connection names Accept']
    },
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> POST /x HTTP/1.1', '  content-encoding: identity', '  host: {A}',
        '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', '  body "hello"'
      ],
      scenarios: ['headers / Connection names Content-Encoding, plain']
    },
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> POST /x HTTP/1.1', '  content-type: text/plain', '  host: {A}',
        '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', '  body "hello"'
      ],
      scenarios: ['headers / Connection names Content-Type, plain']
    },
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> POST /x HTTP/1.1', '  host: {A}', '  via: 1.0 other',
        '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', '  body "hello"'
      ],
      scenarios: ['headers / Connection names Via, plain']
    },
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> POST /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 6.6.6.6, 127.0.0.1',
        '  x-forwarded-host: front.example', '  body "hello"'
      ],
      scenarios: ['headers / Connection names X-Forwarded-For, plain']
    },
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> POST /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example', '  x-forwarded-proto: https', '  body "hello"'
      ],
      scenarios: ['headers / Connection names X-Forwarded-Proto, plain']
    },
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> POST /x HTTP/1.1', '  host: {A}',
        '  traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example',
        '  body "hello"'
      ],
      scenarios: ['headers / Connection names traceparent, plain']
    },
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> POST /x HTTP/1.1', '  host: {A}', '  tracestate: a=b',
        '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', '  body "hello"'
      ],
      scenarios: ['headers / Connection names tracestate, plain']
    },
    {
      ours: [
        '< 200 OK', '  content-encoding: identity', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}',
        '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
      ],
      scenarios: ['headers / Connection of a response names Content-Encoding']
    },
    {
      ours: [
        '< 200 OK', '  content-type: text/plain', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}',
        '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
      ],
      scenarios: ['headers / Connection of a response names Content-Type']
    },
    {
      ours: [
        '< 200 OK', '  date: Sun, 06 Nov 1994 08:49:37 GMT', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}',
        '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
      ],
      scenarios: ['headers / Connection of a response names Date']
    },
    {
      ours: [
        '< 200 OK', '  location: /elsewhere', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}',
        '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
      ],
      scenarios: ['headers / Connection of a response names Location']
    },
    {
      ours: [
        '< 200 OK', '  set-cookie: a=1', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}',
        '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
      ],
      scenarios: ['headers / Connection of a response names Set-Cookie']
    },
    {
      ours: [
        '< 200 OK', '  www-authenticate: Basic realm="x"', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}',
        '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
      ],
      scenarios: ['headers / Connection of a response names WWW-Authenticate']
    }
  ],
  'merged-fields': [
    {
      ours: [
        '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=', '  upgrade: websocket',
        '< bytes "hellopong"', '< fin', 'A> GET /x HTTP/1.1', '  connection: upgrade', '  cookie: a=1; b=2', '  host: {A}',
        '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> fin'
      ],
      scenarios: ['headers / no fallback / Cookie on two lines', 'headers / upgrade / Cookie on two lines']
    },
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /x HTTP/1.1', '  cookie: a=1; b=2', '  host: {A}',
        '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
      ],
      scenarios: ['headers / plain / Cookie on two lines']
    },
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example', '  x-twice: 1', '  x-twice: 2'
      ],
      scenarios: ['headers / plain / a header twice']
    },
    {
      ours: [
        '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=', '  upgrade: websocket',
        '< bytes "hellopong"', '< fin', 'A> GET /x HTTP/1.1', '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
        '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', '  x-twice: 1',
        '  x-twice: 2', 'A> bytes "ping"', 'A> fin'
      ],
      scenarios: ['headers / upgrade / a header twice']
    }
  ],
  'proxy-authorization': [
    {
      ours: [
        '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=', '  upgrade: websocket',
        '< bytes "hellopong"', '< fin', 'A> GET /x HTTP/1.1', '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
        '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "ping"',
        'A> fin'
      ],
      scenarios: ['headers / no fallback / Proxy-Authorization', 'headers / upgrade / HTTP2-Settings', 'headers / upgrade / Proxy-Authorization']
    },
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example'
      ],
      scenarios: ['headers / plain / HTTP2-Settings', 'headers / plain / Proxy-Authorization']
    }
  ],
  'forwarded-trust': [
    {
      ours: [
        '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=', '  upgrade: websocket',
        '< bytes "hellopong"', '< fin', 'A> GET /x HTTP/1.1', '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
        '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "ping"',
        'A> fin'
      ],
      scenarios: [
        'headers / no fallback / X-Forwarded-For', 'headers / upgrade / Forwarded', 'headers / upgrade / X-Forwarded-For',
        'headers / upgrade / X-Forwarded-Host', 'headers / upgrade / X-Forwarded-Proto', 'headers / upgrade / X-Forwarded-Server',
        'headers / upgrade / X_Forwarded_For, with underscores'
      ]
    },
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example'
      ],
      scenarios: [
        'headers / plain / Forwarded', 'headers / plain / X-Forwarded-For', 'headers / plain / X-Forwarded-Host',
        'headers / plain / X-Forwarded-Proto', 'headers / plain / X-Forwarded-Server', 'headers / plain / X_Forwarded_For, with underscores'
      ]
    }
  ],
  'max-forwards': [
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}', '  max-forwards: 5',
        '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
      ],
      scenarios: ['headers / plain / Max-Forwards']
    },
    {
      ours: [
        '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=', '  upgrade: websocket',
        '< bytes "hellopong"', '< fin', 'A> GET /x HTTP/1.1', '  connection: upgrade', '  host: {A}', '  max-forwards: 5',
        '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> fin'
      ],
      scenarios: ['headers / upgrade / Max-Forwards']
    }
  ],
  ranges: [
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}', '  if-none-match: "x"',
        '  range: bytes=0-1', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
      ],
      scenarios: ['headers / plain / Range']
    }
  ],
  'canonical-token': [
    {
      ours: [
        '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=', '  upgrade: websocket',
        '< bytes "hellopong"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
        '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> fin'
      ],
      scenarios: ['headers / the client\'s spelling of the protocol', 'headers / the protocol, as it is spelled']
    }
  ],
  'forwarded-fields': [
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example', '  x-forwarded-proto: http'
      ],
      scenarios: ['headers / the forwarded fields, as they are']
    }
  ],
  via: [
    {
      ours: [
        '< 200 OK', '  via: 1.1 upstream, 1.1 fastify-wstunnel', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}',
        '  via: 1.1 fastify-wstunnel', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
      ],
      scenarios: ['headers / via: on']
    }
  ],
  'connect-trace': [
    {
      ours: ['< fin'],
      scenarios: ['paths / CONNECT host:port', 'paths / CONNECT with a path and an upgrade']
    },
    {
      ours: ['< 404', '< kept'],
      scenarios: ['paths / method TRACE']
    }
  ],
  'double-slash': [
    {
      ours: ['< 404', '< kept'],
      scenarios: ['paths / GET //ws/a']
    },
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /app//a//b HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example'
      ],
      scenarios: ['paths / GET /ws//a//b']
    }
  ],
  'raw-path': [
    {
      ours: ['< 400', '< fin'],
      scenarios: [
        'paths / GET /ws/%2e%2e/x', 'paths / GET /ws/.', 'paths / GET /ws/..', 'paths / GET /ws/../x', 'paths / GET /ws/..;/x',
        'paths / GET /ws/a%00b', 'paths / GET /ws/a/../b', 'paths / GET /ws/a/./b', 'paths / GET /ws/a\\b', 'paths / GET /ws/aé',
        'paths / a WebSocket at /ws/../x'
      ]
    },
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /app/%41 HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example'
      ],
      scenarios: ['paths / GET /ws/%41']
    },
    {
      ours: ['< 400', '< kept'],
      scenarios: ['paths / GET /ws/%zz']
    },
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /app/a"b HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example'
      ],
      scenarios: ['paths / GET /ws/a"b']
    },
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /app/a%0d%0aX:1 HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example'
      ],
      scenarios: ['paths / GET /ws/a%0d%0aX:1']
    },
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /app/a%3Bp HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example'
      ],
      scenarios: ['paths / GET /ws/a%3Bp']
    },
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /app/a%7Eb HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example'
      ],
      scenarios: ['paths / GET /ws/a%7Eb']
    },
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /app/a<b> HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example'
      ],
      scenarios: ['paths / GET /ws/a<b>']
    },
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /app/a^b HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example'
      ],
      scenarios: ['paths / GET /ws/a^b']
    },
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /app/a`b HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example'
      ],
      scenarios: ['paths / GET /ws/a`b']
    },
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /app/a|b HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example'
      ],
      scenarios: ['paths / GET /ws/a|b']
    }
  ],
  'encoded-slash': [
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /app/a%2Fb HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example'
      ],
      scenarios: ['paths / GET /ws/a%2Fb']
    },
    {
      ours: [
        '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=', '  upgrade: websocket',
        '< bytes "hellopong"', '< fin', 'A> GET /app/a%2Fb HTTP/1.1', '  connection: upgrade', '  host: {A}',
        '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> fin'
      ],
      scenarios: ['paths / a WebSocket at /ws/a%2Fb']
    }
  ],
  'absolute-form': [
    {
      ours: ['< 400', '< fin'],
      scenarios: ['paths / GET http://other.example:99/ws/a', 'paths / an upgrade in absolute form']
    }
  ],
  'strict-framing': [
    {
      ours: [
        '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
        '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> fin'
      ],
      scenarios: [
        'replies / 101 / http, upgrade / HTTP/1.0', 'replies / 101 / http, upgrade / bare LF', 'replies / 101 / ws / HTTP/1.0',
        'replies / 101 / ws / bare LF', 'replies / 101 / ws, no fallback / HTTP/1.0', 'replies / 101 / ws, no fallback / bare LF'
      ]
    },
    {
      ours: [
        '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
        '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
      ],
      scenarios: [
        'replies / no fallback / a header without a colon', 'replies / no fallback / length and chunks', 'replies / no fallback / two lengths',
        'replies / upgrade / a control character in a header', 'replies / upgrade / a folded header', 'replies / upgrade / a space before the colon',
        'replies / upgrade / another coding', 'replies / upgrade / bare LF', 'replies / upgrade / length and chunks',
        'replies / upgrade / the same length twice', 'replies / upgrade / two lengths'
      ]
    },
    {
      ours: [
        '< 200 OK (cut short)', '  x-from: upstream', '< fin', 'A> GET /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example'
      ],
      scenarios: ['replies / plain / a chunk size that is none']
    },
    {
      ours: ['< 502', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'],
      scenarios: [
        'replies / plain / a control character in a header', 'replies / plain / a folded header', 'replies / plain / a space before the colon',
        'replies / plain / bare LF', 'replies / plain / length and chunks', 'replies / plain / the same length twice', 'replies / plain / two lengths'
      ]
    }
  ],
  interim: [
    {
      ours: [
        '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=', '  upgrade: websocket',
        '< bytes "hellopong"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
        '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> fin'
      ],
      scenarios: ['replies / 101 / http, upgrade / a 103 before', 'replies / 101 / ws / a 103 before']
    },
    {
      ours: [
        '< 102 Processing', '< 200 OK', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}',
        '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
      ],
      scenarios: ['replies / plain / 102 before']
    },
    {
      ours: [
        '< 103 Early Hints', '  link: </a.css>; rel=preload', '< 200 OK', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /x HTTP/1.1',
        '  host: {A}', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
      ],
      scenarios: ['replies / plain / 103 before']
    },
    {
      ours: [
        '< 103 Early Hints', '  link: </a.css>; rel=preload', '< 103 Early Hints', '  link: </a.css>; rel=preload', '< 103 Early Hints',
        '  link: </a.css>; rel=preload', '< 103 Early Hints', '  link: </a.css>; rel=preload', '< 103 Early Hints', '  link: </a.css>; rel=preload',
        '< 103 Early Hints', '  link: </a.css>; rel=preload', '< 103 Early Hints', '  link: </a.css>; rel=preload', '< 103 Early Hints',
        '  link: </a.css>; rel=preload', '< 502', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example'
      ],
      scenarios: ['replies / plain / ten interim replies before']
    },
    {
      ours: [
        '< 103 Early Hints', '  link: </a.css>; rel=preload', '< 103 Early Hints', '  link: </a.css>; rel=preload', '< 200 OK', '  x-from: upstream',
        '  body "hi"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
      ],
      scenarios: ['replies / plain / two interim replies before']
    },
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
        '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example'
      ],
      scenarios: ['replies / upgrade / 102 before', 'replies / upgrade / 103 before', 'replies / upgrade / two interim replies before']
    },
    {
      ours: [
        '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
        '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
      ],
      scenarios: ['replies / upgrade / ten interim replies before']
    }
  ],
  'headers-of-101': [
    {
      ours: [
        '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=', '  upgrade: websocket',
        '< bytes "hellopong"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
        '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> fin'
      ],
      scenarios: ['replies / 101 / http, upgrade / a length', 'replies / 101 / ws / a length']
    }
  ],
  'verified-101': [
    {
      ours: [
        '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
        '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> fin'
      ],
      scenarios: [
        'replies / 101 / http, upgrade / a wrong Accept', 'replies / 101 / http, upgrade / no Accept',
        'replies / 101 / http, upgrade / without Connection', 'replies / 101 / ws / a wrong Accept', 'replies / 101 / ws / no Accept',
        'replies / 101 / ws / without Connection', 'replies / 101 / ws, no fallback / Upgrade: h2c',
        'replies / 101 / ws, no fallback / Upgrade: websocket, foo', 'replies / 101 / ws, no fallback / a wrong Accept',
        'replies / 101 / ws, no fallback / no Accept', 'replies / 101 / ws, no fallback / without Connection',
        'replies / 101 / ws, no fallback / without Upgrade'
      ]
    }
  ],
  'no-http09': [
    {
      ours: [
        '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
        '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
      ],
      scenarios: [
        'replies / no fallback / HTTP/2 in the status line', 'replies / no fallback / an SSH banner', 'replies / no fallback / no HTTP',
        'replies / no fallback / no HTTP, and no line', 'replies / no fallback / status 600', 'replies / upgrade / HTTP/2 in the status line',
        'replies / upgrade / an SSH banner', 'replies / upgrade / no HTTP', 'replies / upgrade / status 600'
      ]
    },
    {
      ours: ['< 502', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'],
      scenarios: [
        'replies / plain / HTTP/2 in the status line', 'replies / plain / an SSH banner', 'replies / plain / no HTTP', 'replies / plain / status 600'
      ]
    }
  ],
  'cut-answer': [
    {
      ours: [
        '< 200 OK (cut short)', '  content-length: 10', '  x-from: upstream', '  body "short"', '< reset', 'A> GET /chat HTTP/1.1',
        '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
        '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
      ],
      scenarios: ['replies / no fallback / a body that is cut short']
    },
    {
      ours: [
        '< 200 OK (cut short)', '  x-from: upstream', '  body "5\\r\\nhel"', '< reset', 'A> GET /chat HTTP/1.1', '  connection: upgrade',
        '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
        '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
      ],
      scenarios: ['replies / no fallback / chunks that are cut short']
    }
  ],
  'no-blind-tunnel': [
    {
      ours: [
        '< 200 OK (cut short)', '  x-from: upstream', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
        '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example'
      ],
      scenarios: ['replies / no fallback / a chunk size that is none']
    },
    {
      ours: [
        '< 403 Forbidden', '  x-from: upstream', '  body "no"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
        '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example'
      ],
      scenarios: ['requests / no fallback / a request after a refused upgrade']
    },
    {
      ours: [
        '< 403 Forbidden', '  x-from: upstream', '  body "no"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
        '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example', 'A> fin'
      ],
      scenarios: ['tunnels / ws, no fallback / bytes after a refusal']
    }
  ],
  'complete-502': [
    {
      ours: [
        '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
        '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example',
        'A> reset by itself'
      ],
      scenarios: ['replies / no fallback / a reset without a byte']
    },
    {
      ours: [
        '< 502', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
        '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
      ],
      scenarios: ['replies / no fallback / an end without a byte', 'replies / no fallback / half a head']
    }
  ],
  'off-timeouts': [
    {
      ours: [
        '< 504', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
        '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
      ],
      scenarios: ['replies / no fallback / silence']
    },
    {
      ours: [
        '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=', '  upgrade: websocket',
        '< bytes "hello"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
        '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> fin'
      ],
      scenarios: ['tunnels / an idle tunnel, no fallback']
    }
  ],
  'keeps-connection': [
    {
      ours: [
        '< 400 Bad Request', '  x-from: upstream', '  body "bad"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example'
      ],
      scenarios: ['replies / plain / 400']
    },
    {
      ours: [
        '< 500 Internal Server Error', '  x-from: upstream', '  body "oops"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}',
        '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
      ],
      scenarios: ['replies / plain / 500']
    },
    {
      ours: [
        '< 503 Service Unavailable', '  retry-after: 3', '  x-from: upstream', '  body "later"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}',
        '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
      ],
      scenarios: ['replies / plain / 503']
    },
    {
      ours: ['< 503', '< kept'],
      scenarios: ['replies / plain / nobody listens']
    }
  ],
  limits: [
    {
      ours: [
        '< 200 OK', '  x-from: upstream',
        '  x-long: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"… 9000 bytes', '  body "hi"',
        '< kept', 'A> GET /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
      ],
      scenarios: ['replies / plain / a header of 9 kB']
    },
    {
      ours: [
        '< 200 OK', '  x-from: upstream',
        '  x-long: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"… 9000 bytes', '  body "hi"',
        '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
        '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
      ],
      scenarios: ['replies / upgrade / a header of 9 kB']
    },
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: a', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1',
        '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1',
        '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1',
        '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1',
        '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1',
        '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1',
        '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1',
        '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1',
        '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1',
        '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1',
        '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1',
        '  x-many: 1', '  x-many: 1', '  x-many: 1', '  x-many: 1'
      ],
      scenarios: ['requests / 101 headers']
    },
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}',
        '  x: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"… 9000 bytes',
        '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: a'
      ],
      scenarios: ['requests / a header of 9 kB']
    },
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept',
        'A> "GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"… 9014 bytes', '  host: {A}',
        '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: a'
      ],
      scenarios: ['requests / a request target of 9 kB']
    }
  ],
  'empty-reason': [
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example'
      ],
      scenarios: ['replies / plain / an empty reason', 'replies / plain / no reason at all']
    },
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
        '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example'
      ],
      scenarios: ['replies / upgrade / an empty reason', 'replies / upgrade / no reason at all']
    }
  ],
  'name-502': [
    {
      ours: ['< 502', '< kept'],
      scenarios: ['replies / plain / no such name', 'replies / upgrade / no such name']
    }
  ],
  'timeout-504': [
    {
      ours: ['< 504', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'],
      scenarios: ['replies / plain / silence', 'replies / plain / silence in the head']
    },
    {
      ours: [
        '< 504', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
        '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
      ],
      scenarios: ['replies / upgrade / silence', 'replies / upgrade / silence in the head']
    }
  ],
  'upgrade-in-response': [
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
        '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example'
      ],
      scenarios: ['replies / upgrade / 200 that advertises websocket']
    }
  ],
  'early-bytes': [
    {
      ours: [
        '< 403 Forbidden', '  x-from: upstream', '  body "no"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
        '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example'
      ],
      scenarios: [
        'tunnels / http, upgrade / bytes with a handshake that is refused', 'tunnels / ws / bytes with a handshake that is refused',
        'tunnels / ws, no fallback / bytes with a handshake that is refused'
      ]
    },
    {
      ours: [
        '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=', '  upgrade: websocket',
        '< bytes "late"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
        '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "early"',
        'A> fin'
      ],
      scenarios: ['tunnels / ws, no fallback / bytes with the handshake']
    }
  ],
  'client-gone': [
    {
      ours: [
        '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
        '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> fin'
      ],
      scenarios: [
        'tunnels / http, upgrade / the client ends before the answer', 'tunnels / ws / the client ends before the answer',
        'tunnels / ws, no fallback / the client ends before the answer'
      ]
    }
  ],
  reset: [
    {
      ours: [
        '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=', '  upgrade: websocket',
        '< bytes "pong"', '< reset by itself', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
        '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> reset'
      ],
      scenarios: ['tunnels / http, upgrade / the client resets', 'tunnels / ws / the client resets', 'tunnels / ws, no fallback / the client resets']
    },
    {
      ours: [
        '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=', '  upgrade: websocket',
        '< reset', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
        '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "ping"',
        'A> reset by itself'
      ],
      scenarios: [
        'tunnels / http, upgrade / the upstream resets', 'tunnels / ws / the upstream resets', 'tunnels / ws, no fallback / the upstream resets'
      ]
    }
  ],
  'half-close': [
    {
      ours: [
        '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=', '  upgrade: websocket',
        '< bytes "goodbye"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
        '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "last"',
        'A> fin'
      ],
      scenarios: ['tunnels / ws, no fallback / the client ends first, the upstream talks on']
    },
    {
      ours: [
        '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=', '  upgrade: websocket',
        '< bytes "last"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
        '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example',
        'A> bytes "goodbye"', 'A> fin'
      ],
      scenarios: ['tunnels / ws, no fallback / the upstream ends first, the client talks on']
    }
  ]
})
