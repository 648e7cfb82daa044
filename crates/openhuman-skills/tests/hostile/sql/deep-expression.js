// expect: ok /^refused/
try { return 'done ' + JSON.stringify(db.all('SELECT ' + '('.repeat(20000) + '1' + ')'.repeat(20000))).slice(0, 200); } catch (e) { return `refused ${e.name}: ${e.message}`; }
