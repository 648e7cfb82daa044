// expect: timeout
return /^(?!(x+x+)+y)z/.test('x'.repeat(50));
