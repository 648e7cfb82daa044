// expect: ok /no key/
try { state.set({ toString() { throw new TypeError('no key'); } }, 1); } catch (e) { return e.message; }
