// expect: ok /ran/
// as: script
// after: alive
globalThis.__skill = { default: { stop() { throw new Error('no'); }, tools: [{ name: 'run', execute: () => 'ran' }, { name: 'alive', execute: () => 'alive' }] } };
