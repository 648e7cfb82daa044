// expect: ok /private|not granted|grant|allow/
Object.prototype.method = 'POST'; Object.prototype.headers = { authorization: 'x' };
try { net.fetch('http://127.0.0.1:CANARY/'); return 'sent'; } catch (e) { return e.message; } finally { delete Object.prototype.method; delete Object.prototype.headers; }
