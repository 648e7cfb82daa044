// expect: timeout
for (;;) { try { db.get('SELECT 1'); } catch (e) {} }
