// expect: load-fails /./
// as: script
// after: any
globalThis.__skill = { default: { start: () => ({ then() {} }), tools: [{ name: 'run', execute: () => 'ran' }] } };
