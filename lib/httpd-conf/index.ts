/** `fastify-wstunnel/httpd`: the configuration of Apache httpd as options of the plugin. */
export { fromHttpdConf } from './translate.ts'
export { toModule } from './print.ts'
export type { HttpdRegistration, HttpdTranslation } from './translate.ts'
export type { HttpdNote, NoteLevel } from './notes.ts'
