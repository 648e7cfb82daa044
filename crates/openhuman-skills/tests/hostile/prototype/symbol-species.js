// expect: ok /species|a/
class A extends Array { static get [Symbol.species]() { return function (n) { throw new Error('species'); }; } }
try { return db.all('SELECT ? AS a', A.from([1])); } catch (e) { return e.message; }
