import neostandard from 'neostandard'

export default [
  ...neostandard({
    ts: true,
    ignores: ['dist/', 'coverage/', 'node_modules/'],
  }),
  {
    rules: {
      // `void promise` as a statement says that nobody waits for it.
      'no-void': ['error', { allowAsStatement: true }],
      // A URL or a regular expression cannot be wrapped.
      '@stylistic/max-len': ['error', { code: 160, ignoreUrls: true, ignoreRegExpLiterals: true }],
    },
  },
  {
    files: ['lib/**/*.ts'],
    rules: {
      'no-restricted-syntax': [
        'error',
        {
          selector: 'TSAnyKeyword',
          message: 'No `any` in lib/: use `unknown` and narrow it.',
        },
        {
          selector: 'TSNonNullExpression',
          message: 'No non-null `!` in lib/: check, or change the type so that it cannot be null.',
        },
      ],
    },
  },
]
