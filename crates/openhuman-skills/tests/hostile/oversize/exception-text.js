// expect: throws /y/ | too-large
// memory: 64
throw 'y'.repeat(5 * 1024 * 1024);
