// expect: load-fails /./
// as: script
// after: any
globalThis.__skill = { default: { init: () => new Promise(() => {}), tools: [{ name: 'run', execute: () => 'ran' }] } };
