// expect: load-fails /./ | unknown-tool | ok /ran/
// as: script
// after: any
globalThis.__skill = { default: { init() { delete globalThis.__skill; globalThis.tools = undefined; }, tools: [{ name: 'run', execute: () => 'ran' }] } };
