// expect: ok /./
const out = []; for (const f of [net.fetch, db.exec, state.get, setTimeout]) { try { new f('x', () => {}); out.push('made'); } catch (e) { out.push(e.name); } }
return out;
