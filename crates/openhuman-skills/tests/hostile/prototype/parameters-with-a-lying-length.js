// expect: ok /./ | timeout | throws /./
const a = [1]; const p = new Proxy(a, { get: (t, k) => (k === 'length' ? 2 ** 32 : t[k]) });
try { return db.all('SELECT ? AS a', p); } catch (e) { return e.name; }
