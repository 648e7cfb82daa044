// expect: timeout
// after: any
// memory: 64
return [].fill.call(new Proxy({ length: 2 ** 53 - 1 }, { set: () => true }), 1);
