// expect: load-fails /./ | ok /ran/ | unknown-tool
// as: script
// after: any
const s = {}; s.s = s; globalThis.__skill = { default: { tools: [{ name: 'run', execute: () => 'ran', inputSchema: s }, { name: 'alive', execute: () => 'alive' }] } };
