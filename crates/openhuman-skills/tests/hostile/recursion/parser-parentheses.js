// expect: ok /RangeError|InternalError|SyntaxError/
try { return new Function('return ' + '('.repeat(100000) + '1' + ')'.repeat(100000))(); } catch (e) { return e.name; }
