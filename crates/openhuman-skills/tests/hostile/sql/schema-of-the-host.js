// expect: ok /./
try { db.exec("CREATE TABLE IF NOT EXISTS x (y)"); db.exec('DROP TABLE IF EXISTS _kv'); state.set('after', 1); return 'kept ' + state.get('after'); } catch (e) { return `refused ${e.message}`; }
