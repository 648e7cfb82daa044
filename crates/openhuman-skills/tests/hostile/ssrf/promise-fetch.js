// expect: ok /^refused/
// limit: 2000
return fetch('http://127.0.0.1:CANARY/').then((r) => 'reached ' + r.status, (e) => `refused ${e.name}: ${e.message}`);
