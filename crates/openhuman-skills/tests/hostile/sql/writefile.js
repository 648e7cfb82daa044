// expect: ok /^refused/
try { return 'done ' + JSON.stringify(db.all("SELECT writefile('/tmp/openhuman-hostile', 'x')")).slice(0, 200); } catch (e) { return `refused ${e.name}: ${e.message}`; }
