// expect: ok /ran/
// as: script
// after: alive
globalThis.__skill = { default: { tools: [{ name: 7, execute() {} }, { name: {}, execute() {} }, null, undefined, 'x', { name: '', execute() {} }, { name: 'run' }, { name: 'run', execute: () => 'ran' }, { name: 'alive', execute: () => 'alive' }] } };
