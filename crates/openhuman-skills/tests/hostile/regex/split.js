// expect: timeout
return 'a'.repeat(45).concat('b').split(/(?:a+)+$/).length;
