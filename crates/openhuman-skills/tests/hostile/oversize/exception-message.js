// expect: throws /x/ | too-large
// memory: 64
throw new Error('x'.repeat(5 * 1024 * 1024));
