// expect: ok /^refused/
try { return 'done ' + JSON.stringify(db.all('PRAGMA max_page_count = 1000000000')).slice(0, 200); } catch (e) { return `refused ${e.name}: ${e.message}`; }
