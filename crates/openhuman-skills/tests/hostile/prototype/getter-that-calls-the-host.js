// expect: ok /private|grant|allow/
const o = { get method() { db.exec('CREATE TABLE IF NOT EXISTS reentry (x)'); state.set('re', 1); return 'GET'; } };
try { net.fetch('http://127.0.0.1:CANARY/', o); return 'sent'; } catch (e) { return e.message; }
