// expect: ok /false|true/ | timeout | throws /./
return new RegExp('^(?:a{0,2147483647}){0,2147483647}$').test('a'.repeat(30) + 'b');
