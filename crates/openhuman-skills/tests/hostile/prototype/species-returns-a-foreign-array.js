// expect: ok /a/
const shared = []; const a = [1, 2, 3]; a.constructor = { [Symbol.species]: function () { return shared; } };
a.map((x) => x); return db.all('SELECT ? AS a', [shared.length]);
