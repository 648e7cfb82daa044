// expect: ok /^1180591620717411303424$/
return 2n ** 70n;
