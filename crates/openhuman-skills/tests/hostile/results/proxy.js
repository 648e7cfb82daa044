// expect: throws /trap/
return new Proxy({}, { get(t, k) { if (k === 'toJSON' || k === 'then') return undefined; throw new Error('trap ' + String(k)); }, ownKeys: () => ['a'], getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true }) });
