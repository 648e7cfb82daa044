// expect: ok /./ | timeout | throws /memory/
try { return String(new URL('https://public.test/' + '../a/'.repeat(400000)).href.length); } catch (e) { return e.name; }
