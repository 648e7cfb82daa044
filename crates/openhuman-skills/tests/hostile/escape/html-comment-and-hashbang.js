// expect: ok /./
try { return String(eval('<!-- comment\n1')); } catch (e) { return e.name; }
