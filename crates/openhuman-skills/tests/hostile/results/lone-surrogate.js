// expect: ok /^a.b$/s
return 'a\ud800b';
