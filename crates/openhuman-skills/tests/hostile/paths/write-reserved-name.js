// expect: ok /^refused|written/
try { data.write('NUL', 'x'); return 'written'; } catch (e) { return `refused ${e.name}: ${e.message}`; }
