// expect: ok /RangeError|InternalError|SyntaxError/
class A { constructor() { new A(); } }
try { new A(); } catch (e) { return e.name; }
