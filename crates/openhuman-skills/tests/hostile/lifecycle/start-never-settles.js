// expect: load-fails /start/
// as: script
// after: any
globalThis.__skill = { default: { start: () => new Promise((r) => setTimeout(r, 1e8)), tools: [{ name: 'run', execute: () => 'ran' }] } };
