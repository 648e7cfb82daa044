// expect: ok /./ | timeout | throws /group|captures|memory|stack/
return new RegExp('(a?)'.repeat(250) + 'a'.repeat(250)).test('a'.repeat(250));
