// expect: timeout
return /^(\p{L}+\s?)+$/u.test('é'.repeat(45) + '!');
