// expect: load-fails /start/
// as: script
// after: any
globalThis.__skill = { default: { start() { for (;;); }, tools: [{ name: 'run', execute: () => 'ran' }] } };
