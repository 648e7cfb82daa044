// expect: ok /./
// after: any
globalThis.Promise = class { constructor() { throw new Error('mine'); } };
try { return typeof fetch('https://public.test/'); } catch (e) { return e.message; }
