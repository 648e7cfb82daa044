// expect: throws /getter/
return { get then() { throw new Error('getter'); } };
