// expect: ok /./
const a = [1]; Object.defineProperty(a, 0, { get() { for (let i = 0; i < 100; i++) a.push(i); return 1; } });
try { return db.all('SELECT ? AS a', a); } catch (e) { return e.name; }
