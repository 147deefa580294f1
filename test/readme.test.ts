import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import fastify from 'fastify'
import ts from 'typescript'
import { refusalStages, tunnelReasons } from '../lib/counters.ts'
import * as errors from '../lib/errors.ts'
import wstunnel from '../lib/index.ts'
import { resolveOptions } from '../lib/resolve.ts'
import { tlsOptionNames } from '../lib/tls.ts'

// The README says what the code does: every option, code, reason and metric has its place there, every link its file.

const root = fileURLToPath(new URL('..', import.meta.url))
