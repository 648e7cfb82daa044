// expect: ok /RangeError|InternalError|SyntaxError/
try { return JSON.stringify(JSON.parse('['.repeat(200000) + ']'.repeat(200000))).length; } catch (e) { return e.name; }
