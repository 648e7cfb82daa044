// expect: ok /ran/
// as: script
// after: alive
globalThis.__skill = { default: { init: 1, start: {}, stop: 'x', onCronTrigger: [], tools: [{ name: 'run', execute: () => 'ran' }, { name: 'alive', execute: () => 'alive' }] } };
