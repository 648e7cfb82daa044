// expect: ok /^refused/
try { return 'done ' + JSON.stringify(db.all('SELECT ' + '1+'.repeat(2000000) + '1')).slice(0, 200); } catch (e) { return `refused ${e.name}: ${e.message}`; }
