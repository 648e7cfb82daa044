// expect: load-fails /schema/ | ok /ran/ | unknown-tool
// as: script
// after: any
globalThis.__skill = { default: { tools: [{ name: 'run', execute: () => 'ran', get inputSchema() { throw new Error('schema'); } }, { name: 'alive', execute: () => 'alive' }] } };
