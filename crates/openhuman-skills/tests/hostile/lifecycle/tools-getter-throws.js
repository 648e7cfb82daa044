// expect: load-fails /no tools/ | unknown-tool
// as: script
// after: any
globalThis.__skill = { default: { get tools() { throw new Error('no tools'); } } };
