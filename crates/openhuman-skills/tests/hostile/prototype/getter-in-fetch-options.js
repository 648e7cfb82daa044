// expect: ok /from the getter/
const o = { get method() { throw new RangeError('from the getter'); } };
try { net.fetch('https://public.test/', o); } catch (e) { return e.message; }
