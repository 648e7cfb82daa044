// expect: ok /^refused/
try { data.write('../out.txt', 'x'); return 'written'; } catch (e) { return `refused ${e.name}: ${e.message}`; }
