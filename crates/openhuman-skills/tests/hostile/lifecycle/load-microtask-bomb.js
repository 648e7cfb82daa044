// expect: ok /ran/ | timeout | load-fails /./
// as: script
// after: any
const f = () => Promise.resolve().then(f); f();
globalThis.__skill = { default: { tools: [{ name: 'run', execute: () => 'ran' }, { name: 'alive', execute: () => 'alive' }] } };
