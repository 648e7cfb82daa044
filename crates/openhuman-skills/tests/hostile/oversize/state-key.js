// expect: ok /^refused/
try { state.set('k'.repeat(100000), 1); return 'set'; } catch (e) { return `refused ${e.message}`; }
