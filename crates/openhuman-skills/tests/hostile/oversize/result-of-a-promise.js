// expect: too-large
return Promise.resolve('x'.repeat(2 * 1024 * 1024));
