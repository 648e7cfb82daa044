// expect: ok /native code|=>/
return () => 1;
