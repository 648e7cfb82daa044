// expect: throws /many/
// memory: 32
throw new AggregateError(Array.from({ length: 20000 }, (_, i) => new Error('e' + i)), 'many');
