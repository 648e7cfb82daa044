// expect: ok /^ReferenceError,ReferenceError,ReferenceError$/
const out = []; for (const source of ['SharedArrayBuffer', 'Atomics', 'WebAssembly']) { try { out.push(typeof new Function('return ' + source)()); } catch (e) { out.push(e.name); } }
return out.join();
