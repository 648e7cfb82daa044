// expect: throws /no then/
return { then() { throw new Error('no then'); } };
