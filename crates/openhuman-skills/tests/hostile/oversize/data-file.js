// expect: ok /^refused/ | timeout
// limit: 2000
try { for (let i = 0; i < 100; i++) data.write('f' + i, 'x'.repeat(5 * 1024 * 1024)); return 'written'; } catch (e) { return `refused ${e.name}`; }
