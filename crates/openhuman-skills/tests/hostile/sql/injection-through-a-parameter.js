// expect: ok /^done/
try { return 'done ' + JSON.stringify(db.all("SELECT ? AS v", ["'); ATTACH 'x' AS y; --"])).slice(0, 200); } catch (e) { return `refused ${e.name}: ${e.message}`; }
