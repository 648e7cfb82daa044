// expect: load-fails /./
// as: script
// after: any
throw new Proxy({}, { get() { throw 1; } });
