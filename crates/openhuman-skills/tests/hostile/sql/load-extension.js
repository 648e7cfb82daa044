// expect: ok /^refused/
try { return 'done ' + JSON.stringify(db.all("SELECT load_extension('/lib/x86_64-linux-gnu/libm.so.6')")).slice(0, 200); } catch (e) { return `refused ${e.name}: ${e.message}`; }
