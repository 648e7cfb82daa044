// expect: ok /logged/
// memory: 64
console.log('x'.repeat(5 * 1024 * 1024));
return 'logged';
