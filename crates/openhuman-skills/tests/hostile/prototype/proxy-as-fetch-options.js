// expect: ok /Error/
const p = new Proxy({}, { get: (t, k) => (typeof k === 'symbol' ? undefined : k === 'toJSON' ? undefined : 'GET'), ownKeys: () => ['method', 'method2'], getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true, value: 1 }) });
try { net.fetch('http://127.0.0.1:CANARY/', p); return 'sent'; } catch (e) { return e.name; }
