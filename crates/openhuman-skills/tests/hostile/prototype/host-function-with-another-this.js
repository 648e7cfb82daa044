// expect: ok /./
const out = []; for (const f of [net.fetch, db.exec, state.get, console.log]) { try { f.call(null, 'x'); f.apply(new Proxy({}, {}), ['y']); out.push('fine'); } catch (e) { out.push(e.name); } }
return out;
