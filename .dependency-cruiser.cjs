/** The star: parts know only base; the composition root (src/node*, src/gateway.ts) knows all. */
const parts = "consensus|ledger|p2p|contracts|api|gateway|client";
const composition = "^src/(node|cli)/|^src/(node|gateway)\\.ts$";

module.exports = {
  forbidden: [
    { name: "no-cycles", severity: "error", from: {}, to: { circular: true } },
    {
      name: "base-knows-nobody",
      severity: "error",
      from: { path: "^src/base/" },
      to: { path: "^src/(?!base/)" },
    },
    {
      name: "parts-know-only-base",
      severity: "error",
      from: { path: `^src/(${parts})/` },
      to: { path: "^src/", pathNot: "^src/($1|base|client)/" },
    },
    {
      name: "only-clients-use-client",
      severity: "error",
      from: { path: "^src/(consensus|ledger|p2p|contracts|api)/" },
      to: { path: "^src/client/" },
    },
    {
      name: "nobody-imports-the-cli",
      severity: "error",
      from: { path: "^src/(?!cli/)" },
      to: { path: "^src/cli/" },
    },
    {
      name: "only-the-cli-imports-the-composition-root",
      severity: "error",
      from: { pathNot: composition },
      to: { path: "^src/(node/|node\\.ts|gateway\\.ts)" },
    },
    {
      name: "cli-uses-clients-and-composition",
      severity: "error",
      comment: "a command talks to a node through the client or starts one; it owns no logic",
      from: { path: "^src/cli/" },
      to: { path: "^src/(consensus|ledger|p2p|contracts|api|gateway)/" },
    },
    {
      name: "consensus-does-no-io",
      severity: "error",
      from: { path: "^src/consensus/" },
      to: { dependencyTypes: ["core", "npm"] },
    },
    {
      name: "libp2p-stays-in-p2p",
      severity: "error",
      from: { pathNot: "^src/p2p/" },
      to: { path: "node_modules/(libp2p|@libp2p|@chainsafe|@multiformats)/" },
    },
    {
      name: "leveldb-stays-in-ledger",
      severity: "error",
      from: { pathNot: "^src/(ledger/|gateway/|node/)|node_modules" },
      to: { path: "node_modules/(level|classic-level|memory-level|abstract-level)/" },
    },
    {
      name: "resolves",
      severity: "error",
      comment: "an import the checker cannot resolve escapes every rule",
      from: { path: "^(src|contracts)/" },
      to: { couldNotResolve: true },
    },
    {
      name: "src-knows-no-test",
      severity: "error",
      from: { path: "^src/" },
      to: { path: "^(test|bench)/" },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    doNotFollow: { path: "node_modules" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "node", "default", "types"],
    },
  },
};
