// expect: ok /./ | throws /memory/
// limit: 1500
try { db.exec('CREATE TABLE IF NOT EXISTS t (x)'); db.exec('INSERT INTO t VALUES (?)', ['x'.repeat(8 * 1024 * 1024)]); return 'kept'; } catch (e) { return `refused ${e.message}`; }
