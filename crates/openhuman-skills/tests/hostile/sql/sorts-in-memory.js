// expect: ok /^refused Error: 1/
try { db.get('WITH RECURSIVE c(x) AS (SELECT zeroblob(1000000) UNION ALL SELECT zeroblob(1000000) FROM c) SELECT x FROM c ORDER BY 1'); return 'done'; } catch (e) { return `refused ${e.name}: ${db.get('SELECT 1 AS n').n}`; }
