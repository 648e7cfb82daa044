// expect: ok /^null$/
return { toJSON: () => () => 1 };
