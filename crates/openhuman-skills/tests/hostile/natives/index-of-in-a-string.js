// expect: timeout
// after: any
// memory: 64
return ('a'.repeat(1e7)).indexOf('a'.repeat(5e6) + 'b');
