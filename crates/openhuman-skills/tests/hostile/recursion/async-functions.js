// expect: ok /RangeError|InternalError|SyntaxError/
const f = async (n) => { await f(n + 1); };
return f(0).catch((e) => e.name);
