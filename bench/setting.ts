/** What a contestant is started with. */

/** Who listens where, and where it connects to. */
export interface Setting {
  /** The Node that is measured. */
  readonly node: string
  readonly address: string
  readonly upstream: { readonly host: string, readonly port: number }
  /** Both legs over TLS. */
  readonly tls?: { readonly key: string, readonly cert: string, readonly ca: string } | undefined
  readonly workers?: number | undefined
  /** Another build of this plugin. */
  readonly build?: string | undefined
}
