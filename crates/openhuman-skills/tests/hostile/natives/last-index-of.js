// expect: timeout | stalled
// after: any
return ('a'.repeat(1e7)).lastIndexOf('b' + 'a'.repeat(5e6));
