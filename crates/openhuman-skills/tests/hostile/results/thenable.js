// expect: ok /^from a thenable$/
return { then(resolve) { resolve('from a thenable'); } };
