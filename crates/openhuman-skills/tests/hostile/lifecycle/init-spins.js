// expect: load-fails /init/
// as: script
// after: any
globalThis.__skill = { default: { init() { for (;;); }, tools: [{ name: 'run', execute: () => 'ran' }] } };
