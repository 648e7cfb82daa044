// expect: load-fails /rejected init/
// as: script
// after: any
globalThis.__skill = { default: { init: () => Promise.reject(new Error('rejected init')), tools: [{ name: 'run', execute: () => 'ran' }] } };
