// expect: ok /InternalError|null|RangeError/ | throws /memory|null/ | timeout
try { const a = []; a[4294967294] = 1; return a.fill(0).length; } catch (e) { return String(e && e.name); }
