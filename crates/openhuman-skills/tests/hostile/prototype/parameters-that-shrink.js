// expect: ok /./
const a = [1, 2, 3, 4]; Object.defineProperty(a, 0, { get() { a.length = 0; return 1; } });
try { return db.all('SELECT ?, ?, ?, ?', a); } catch (e) { return e.name; }
