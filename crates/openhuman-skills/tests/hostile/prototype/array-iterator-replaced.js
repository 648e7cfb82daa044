// expect: ok /replaced/ | timeout | throws /memory/
// after: any
Array.prototype[Symbol.iterator] = function* () { for (;;) yield 1; };
try { console.log('a', 'b'); } catch (e) {}
return 'replaced';
