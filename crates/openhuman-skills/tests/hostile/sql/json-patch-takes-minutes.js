// expect: ok /^refused/
try { db.get('SELECT json_patch(?, ?)', ['{}', '{}']); return 'done'; } catch (e) { return `refused ${e.name}: ${e.message}`; }
