// expect: ok /set/
// after: any
Object.defineProperty(globalThis, '__skill', { get() { throw new Error('getter'); }, configurable: true });
return 'set';
