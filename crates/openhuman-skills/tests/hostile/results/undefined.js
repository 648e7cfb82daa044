// expect: ok /^null$/
return undefined;
