// Which folder may import which (docs/adr/0001-layout.md). `npm run check:boundaries` also fails when no module was seen.
const PURE = '^src/(protocol|boot|cloud-config)/';
const DOMAIN = '^src/(machines|enrollment|images|rollouts|clusters|power|events)/';
const EDGE = '^src/(servers|http|storage|crypto|platform|cli|web|registry-client)/';
const ROOT = '^src/(app|main)';

module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    { name: 'not-to-unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'protocol-is-pure',
      comment: 'Codecs know bytes and nothing else.',
      severity: 'error',
      from: { path: '^src/protocol/' },
      to: { pathNot: ['^src/protocol/', '^src/errors\\.ts$', '^(node:)?buffer$'] },
    },
    {
      name: 'decisions-do-no-io',
      comment: 'boot/ and cloud-config/ decide; they may parse and compute, never read a file, a clock or a socket.',
      severity: 'error',
      from: { path: '^src/(boot|cloud-config)/' },
      to: { dependencyTypes: ['core'], pathNot: '^(node:)?(buffer|zlib)$' },
    },
    {
      name: 'decisions-do-not-see-the-edge',
      severity: 'error',
      from: { path: PURE },
      to: { path: [EDGE, ROOT, '^src/settings/'] },
    },
    {
      name: 'domain-does-not-see-the-edge',
      comment: 'Domain folders name ports; app.ts gives them adapters.',
      severity: 'error',
      from: { path: DOMAIN },
      to: { path: [EDGE, ROOT] },
    },
    {
      name: 'domain-does-no-io',
      severity: 'error',
      from: { path: DOMAIN },
      to: { dependencyTypes: ['core'], pathNot: '^(node:)?(buffer|stream|events)$' },
    },
    {
      name: 'only-crypto-imports-certificate-libraries',
      severity: 'error',
      from: { path: '^(src|test|vm-lab)/', pathNot: '^src/crypto/' },
      to: { path: 'node_modules/(node-forge|@peculiar/|jose|reflect-metadata)' },
    },
    {
      name: 'only-storage-imports-sql',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/storage/' },
      to: { path: ['node_modules/kysely', '^(node:)?sqlite$'] },
    },
    {
      name: 'only-app-wires-the-edge',
      comment: 'app.ts and main.ts alone import the edge; an edge folder may import itself and the inside.',
      severity: 'error',
      from: { path: '^src/(servers|storage|crypto|platform|registry-client)/' },
      to: { path: '^src/(http|cli|web)/' },
    },
    {
      name: 'cli-talks-http',
      comment: 'The CLI knows the API, not the server.',
      severity: 'error',
      from: { path: '^src/cli/' },
      to: { path: '^src/(servers|storage|http|web)/' },
    },
    {
      name: 'production-does-not-import-dev-dependencies',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], pathNot: 'node_modules/@types/' },
    },
    { name: 'src-does-not-import-tests', severity: 'error', from: { path: '^src/' }, to: { path: '^(test|vm-lab)/' } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
};
