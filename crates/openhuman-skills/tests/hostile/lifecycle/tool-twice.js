// expect: ok /ran/
// as: script
// after: alive
globalThis.__skill = { default: { tools: [{ name: 'run', execute: () => 'first ran' }, { name: 'run', execute: () => 'second ran' }, { name: 'alive', execute: () => 'alive' }] } };
