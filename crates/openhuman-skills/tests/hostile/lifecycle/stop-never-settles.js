// expect: ok /ran/
// as: script
// after: alive
globalThis.__skill = { default: { stop: () => new Promise((r) => setTimeout(r, 1e8)), tools: [{ name: 'run', execute: () => 'ran' }, { name: 'alive', execute: () => 'alive' }] } };
