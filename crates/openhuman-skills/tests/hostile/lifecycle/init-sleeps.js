// expect: load-fails /init/
// as: script
// after: any
globalThis.__skill = { default: { init() { sleep(100000); }, tools: [{ name: 'run', execute: () => 'ran' }] } };
