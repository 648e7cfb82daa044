// expect: unknown-tool | ok /ran/ | load-fails /./
// as: script
// after: any
globalThis.__skill = { default: { tools: Array.from({ length: 100000 }, (_, i) => ({ name: 't' + i, execute: () => 'x' })).concat([{ name: 'run', execute: () => 'ran' }, { name: 'alive', execute: () => 'alive' }]) } };
