// expect: timeout
return /^(a{1,30}){1,30}$/.test('a'.repeat(45) + 'b');
