// expect: ok /RangeError|InternalError|SyntaxError/
const o = { toString() { console.log(o); return ''; }, toJSON() { console.log(o); return 1; } };
try { console.log(o); return 'logged InternalError'; } catch (e) { return e.name; }
