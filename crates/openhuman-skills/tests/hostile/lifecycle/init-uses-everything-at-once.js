// expect: ok /ran/
// as: script
// after: any
globalThis.__skill = { default: { init() { for (let i = 0; i < 60; i++) { state.set('k' + i, i); db.kvSet('k' + i, i); setInterval(() => {}, 1); } }, tools: [{ name: 'run', execute: () => 'ran' }, { name: 'alive', execute: () => 'alive' }] } };
