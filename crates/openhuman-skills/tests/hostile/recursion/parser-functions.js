// expect: ok /RangeError|InternalError|SyntaxError|function/
try { return typeof new Function('(()=>'.repeat(20000) + '1' + ')'.repeat(20000)); } catch (e) { return e.name; }
