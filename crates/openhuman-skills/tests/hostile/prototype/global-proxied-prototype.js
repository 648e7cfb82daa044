// expect: ok /set/ | throws /./
// after: any
Object.setPrototypeOf(globalThis, new Proxy({}, { get() { throw new Error('trap'); }, has() { return true; } }));
return 'set';
