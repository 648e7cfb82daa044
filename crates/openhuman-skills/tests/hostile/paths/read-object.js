// expect: ok /^refused/
try { return 'read ' + data.read({ toString: () => '../x' }); } catch (e) { return `refused ${e.name}: ${e.message}`; }
