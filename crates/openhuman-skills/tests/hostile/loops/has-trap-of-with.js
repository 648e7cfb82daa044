// expect: timeout
const p = new Proxy({}, { has: () => true, get: (t, k) => (k === Symbol.unscopables ? undefined : 1) });
new Function('p', 'with (p) { while (endless); }')(p);
