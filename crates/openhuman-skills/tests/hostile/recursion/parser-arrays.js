// expect: ok /RangeError|InternalError|SyntaxError/
try { return eval('['.repeat(50000) + ']'.repeat(50000)).length; } catch (e) { return e.name; }
