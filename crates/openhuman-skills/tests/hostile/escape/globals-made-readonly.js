// expect: ok /frozen/
for (const k of Object.getOwnPropertyNames(globalThis)) { try { Object.defineProperty(globalThis, k, { writable: false, configurable: false }); } catch (e) {} }
Object.freeze(globalThis.__skill); return 'frozen';
