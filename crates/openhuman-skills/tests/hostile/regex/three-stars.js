// expect: timeout
return /^.*.*.*.*.*.*=x$/s.test('='.repeat(3000));
