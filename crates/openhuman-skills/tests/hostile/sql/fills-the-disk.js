// expect: ok /^refused/ | timeout
// limit: 3000
try { db.exec('CREATE TABLE big (b BLOB)'); for (;;) db.exec('INSERT INTO big VALUES (zeroblob(8000000))'); } catch (e) { return `refused ${e.name}: ${e.message}`; }
