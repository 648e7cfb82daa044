// expect: ok /^refused/
try { state.set('k', 'x'.repeat(3 * 1024 * 1024)); return 'set'; } catch (e) { return `refused ${e.message}`; }
