// expect: ok /^refused|registered/
try { cron.register('x', Array.from({ length: 100000 }, (_, i) => i % 60).join() + ' * * * * *'); return 'registered'; } catch (e) { return `refused ${e.message}`; }
