// expect: timeout | stalled
// after: any
return [].fill.call(new Proxy({ length: 2 ** 53 - 1 }, { set: () => true }), 1);
