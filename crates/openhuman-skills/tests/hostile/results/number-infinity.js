// expect: ok /^-Infinity$/
return -Infinity;
