// expect: ok /./ | throws /./ | timeout
try { return 'done ' + JSON.stringify(db.all('SELECT 1', new Array(2 ** 32 - 1))).slice(0, 200); } catch (e) { return `refused ${e.name}: ${e.message}`; }
