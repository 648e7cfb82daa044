// expect: ok /^NaN$/
return NaN;
