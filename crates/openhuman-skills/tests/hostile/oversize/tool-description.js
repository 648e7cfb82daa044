// expect: ok /ran/ | load-fails /./ | unknown-tool
// as: script
// after: any
globalThis.__skill = { default: { tools: [{ name: 'run', description: 'd'.repeat(5000000), execute: () => 'ran' }, { name: 'alive', execute: () => 'alive' }] } };
