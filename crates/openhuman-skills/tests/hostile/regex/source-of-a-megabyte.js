// expect: ok /./ | timeout | throws /memory|stack|regexp|too/i
return new RegExp('(?:a|b)?'.repeat(130000)).test('c');
