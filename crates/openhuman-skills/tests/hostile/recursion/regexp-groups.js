// expect: ok /RangeError|InternalError|SyntaxError/
try { return new RegExp('('.repeat(100000) + ')'.repeat(100000)).test(''); } catch (e) { return e.name; }
