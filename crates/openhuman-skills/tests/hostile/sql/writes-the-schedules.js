// expect: ok /^refused/
cron.register('a', '0 0 * * * *'); try { db.exec('DELETE FROM _cron'); return 'done'; } catch (e) { return `refused ${e.name}: ${e.message}`; }
