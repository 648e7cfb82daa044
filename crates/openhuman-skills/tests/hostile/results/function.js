// expect: ok /=>/ | throws /./
return () => 1;
