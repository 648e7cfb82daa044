// expect: ok /^refused/ | timeout
// limit: 1500
try { db.exec('CREATE TEMP TABLE big (b BLOB)'); for (;;) db.exec('INSERT INTO big VALUES (zeroblob(8000000))'); } catch (e) { return `refused ${e.name}: ${e.message}`; }
