// expect: load-fails /./ | ok /ran/ | unknown-tool
// as: script
// after: any
globalThis.__skill = { default: { tools: new Proxy([{ name: 'run', execute: () => 'ran' }], { get(t, k) { if (k === 'length') return 2 ** 31; return t[0]; } }) } };
