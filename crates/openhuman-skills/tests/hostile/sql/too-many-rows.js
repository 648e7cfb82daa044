// expect: timeout | ok /^refused/
// limit: 1000
try { return 'done ' + JSON.stringify(db.all('WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT 2000000) SELECT x FROM c')).slice(0, 200); } catch (e) { return `refused ${e.name}: ${e.message}`; }
