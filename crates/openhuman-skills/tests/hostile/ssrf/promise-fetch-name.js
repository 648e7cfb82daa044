// expect: ok /^refused/
// limit: 2000
return fetch(typeof Request === 'function' ? new Request('http://loopback.test:CANARY/') : 'http://loopback.test:CANARY/').then((r) => 'reached ' + r.status, (e) => `refused ${e.name}: ${e.message}`);
