// expect: ok /^refused|written/
try { data.write('x.txt:hidden', 'x'); return 'written'; } catch (e) { return `refused ${e.name}: ${e.message}`; }
