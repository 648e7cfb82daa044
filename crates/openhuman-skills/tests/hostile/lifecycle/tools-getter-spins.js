// expect: load-fails /./
// as: script
// after: any
globalThis.__skill = { default: { get tools() { for (;;); } } };
