// expect: ok /./
const o = { toJSON() { db.exec('SELECT ?', [o]); return 1; } };
try { db.exec('SELECT ?', [o]); return 'no error'; } catch (e) { return e.name; }
