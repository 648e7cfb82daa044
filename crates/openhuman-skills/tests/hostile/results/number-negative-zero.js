// expect: ok /^-?0$/
return -0;
