// expect: too-large
return 'é'.repeat(600 * 1024);
