// expect: ok /ran/
// as: script
// after: alive
globalThis.__skill = { default: { stop() { for (;;); }, tools: [{ name: 'run', execute: () => 'ran' }, { name: 'alive', execute: () => 'alive' }] } };
