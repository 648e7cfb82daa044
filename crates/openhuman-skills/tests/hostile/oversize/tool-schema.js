// expect: ok /ran/ | load-fails /./
// as: script
// after: any
let deep = {}; for (let i = 0; i < 3000; i++) deep = { properties: { a: deep } };
globalThis.__skill = { default: { tools: [{ name: 'run', inputSchema: deep, execute: () => 'ran' }, { name: 'alive', execute: () => 'alive' }] } };
