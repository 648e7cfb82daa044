// expect: ok /open/
db.exec('CREATE TABLE IF NOT EXISTS t (x)'); try { db.exec('BEGIN EXCLUSIVE'); db.exec('INSERT INTO t VALUES (1)'); } catch (e) {}
return 'open';
