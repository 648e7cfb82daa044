// expect: ok /^first$/
return { then(a, b) { a('first'); b(new Error('second')); a('third'); } };
