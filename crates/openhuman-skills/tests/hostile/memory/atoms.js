// expect: ok /memory|InternalError|null/i | throws /memory|null/ | timeout
try { for (let i = 0; ; i++) Symbol.for('registered ' + i); } catch (e) { return String(e && e.name); }
