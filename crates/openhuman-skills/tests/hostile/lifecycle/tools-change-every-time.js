// expect: ok /ran/ | unknown-tool
// as: script
// after: any
let n = 0; globalThis.__skill = { default: { get tools() { n++; return n % 2 ? [{ name: 'run', execute: () => 'ran' }, { name: 'alive', execute: () => 'alive' }] : [{ name: 'other' + n, execute() {} }]; } } };
