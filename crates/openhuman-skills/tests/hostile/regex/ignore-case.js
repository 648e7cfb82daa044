// expect: timeout
return /^(?:(?:k|K|\u212a)+)+$/iu.test('k'.repeat(45) + '!');
