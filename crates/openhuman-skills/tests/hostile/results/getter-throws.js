// expect: throws /getter/
return { get a() { throw new Error('getter'); } };
