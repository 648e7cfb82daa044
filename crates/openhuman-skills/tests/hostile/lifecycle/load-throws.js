// expect: load-fails /at load/
// as: script
// after: any
throw new Error('at load');
