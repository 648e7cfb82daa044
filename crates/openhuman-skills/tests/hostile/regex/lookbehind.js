// expect: timeout
return /(?<=^(a+)+)b$/.test('a'.repeat(40) + 'cb') || /(?<=(a|aa)+c)x/.test('a'.repeat(60) + 'cy') || /^(a+)+$/.test('a'.repeat(40) + 'b');
