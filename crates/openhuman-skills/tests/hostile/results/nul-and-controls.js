// expect: ok /^a.b.$/s
return 'a\u0000b\u001f';
