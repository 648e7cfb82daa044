// expect: too-large
// memory: 64
return { list: new Array(600000).fill(12) };
