// expect: ok /^none$/
const out = []; for (const n of ['readObject', 'writeObject', '__loadScript', 'evalScript', 'loadFile']) if (n in globalThis) out.push(n);
return out.join() || 'none';
