// expect: timeout | stalled
// after: any
return ('a'.repeat(1e7)).indexOf('a'.repeat(5e6) + 'b');
