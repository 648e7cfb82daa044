// expect: ok /./ | timeout | throws /memory/
try { const h = new Headers(); for (let i = 0; i < 200000; i++) h.append('x', 'v' + i); return String(h.get('x').length); } catch (e) { return e.name; }
