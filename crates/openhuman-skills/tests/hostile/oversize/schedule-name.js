// expect: ok /^refused/
try { cron.register('x'.repeat(100000), '0 0 0 1 1 *'); return 'registered'; } catch (e) { return `refused ${e.message}`; }
