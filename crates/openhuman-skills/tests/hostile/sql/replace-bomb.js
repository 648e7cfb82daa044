// expect: ok /^refused/ | timeout
// limit: 1500
try { return 'done ' + JSON.stringify(db.all("SELECT replace(replace(replace(printf('%.1000c','x'),'x',printf('%.1000c','x')),'x',printf('%.1000c','x')),'x',printf('%.1000c','x')) AS z")).slice(0, 200); } catch (e) { return `refused ${e.name}: ${e.message}`; }
