// expect: ok /armed/
try { setTimeout('globalThis.ran = 1', 0); return 'armed'; } catch (e) { return 'armed not: ' + e.name; }
