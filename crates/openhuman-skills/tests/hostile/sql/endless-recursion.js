// expect: timeout | ok /^refused/
try { return 'done ' + JSON.stringify(db.all('WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT count(*) FROM c')).slice(0, 200); } catch (e) { return `refused ${e.name}: ${e.message}`; }
