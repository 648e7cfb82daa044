// expect: throws /./
// after: any
Object.defineProperty(Error, Symbol.hasInstance, { value: () => { throw 'trap'; } });
throw new Error('x');
