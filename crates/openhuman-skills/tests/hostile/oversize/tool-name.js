// expect: ok /ran/
// as: script
globalThis.__skill = { default: { tools: [{ name: 'n'.repeat(1000000), execute: () => 'x' }, { name: 'run', execute: () => 'ran' }, { name: 'alive', execute: () => 'alive' }] } };
