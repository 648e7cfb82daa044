// expect: ok /InternalError|null|RangeError|Error/ | throws /memory|null/ | timeout
try { const kept = []; for (;;) kept.push(db.all("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT 9000) SELECT x, printf('%.100c', 'x') AS y FROM c")); } catch (e) { return String(e && e.name); }
