// expect: ok /ran/ | load-fails /trap/
// as: script
// after: any
globalThis.__skill = { default: new Proxy({}, { get(t, k) { if (k === 'tools') return [{ name: 'run', execute: () => 'ran' }, { name: 'alive', execute: () => 'alive' }]; if (k === 'then') return undefined; throw new Error('trap ' + String(k)); }, has: () => true }) };
