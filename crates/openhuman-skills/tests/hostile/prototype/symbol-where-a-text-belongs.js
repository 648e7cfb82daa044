// expect: ok /fine.*TypeError/
const out = []; for (const f of [() => console.log(Symbol('x')), () => state.get(Symbol('x')), () => db.exec(Symbol('x')), () => net.fetch(Symbol('x')), () => cron.register(Symbol('x'), '')]) { try { f(); out.push('fine'); } catch (e) { out.push(e.name); } }
return out;
