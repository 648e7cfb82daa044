// expect: ok /ran/
// as: script
// after: alive
globalThis.__skill = { default: { stop() { for (let i = 0; i < 100; i++) setInterval(() => {}, 0); return new Promise(() => {}); }, tools: [{ name: 'run', execute: () => 'ran' }, { name: 'alive', execute: () => 'alive' }] } };
