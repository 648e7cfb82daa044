// expect: throws /json/
return { toJSON() { throw new Error('json'); } };
