// expect: ok /RangeError|InternalError|SyntaxError|true/
try { return String(new RegExp('(?='.repeat(50000) + 'a' + ')'.repeat(50000)).test('a')); } catch (e) { return e.name; }
