// expect: timeout | ok /^refused/
// limit: 1500
try { return 'done ' + JSON.stringify(db.all("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT 1000000) SELECT group_concat(printf('%.10000c','x')) AS z FROM c")).slice(0, 200); } catch (e) { return `refused ${e.name}: ${e.message}`; }
