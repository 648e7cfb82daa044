// expect: ok /./ | timeout
// limit: 1000
try { db.exec('CREATE TABLE t (x)'); db.exec('CREATE TRIGGER r AFTER INSERT ON t BEGIN INSERT INTO t VALUES (new.x + 1); END'); db.exec('PRAGMA recursive_triggers = ON'); db.exec('INSERT INTO t VALUES (1)'); return 'done'; } catch (e) { return `refused ${e.message}`; }
