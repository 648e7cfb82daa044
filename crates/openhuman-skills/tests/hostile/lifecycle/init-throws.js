// expect: load-fails /from init/
// as: script
// after: any
globalThis.__skill = { default: { init() { throw new Error('from init'); }, tools: [{ name: 'run', execute: () => 'ran' }] } };
