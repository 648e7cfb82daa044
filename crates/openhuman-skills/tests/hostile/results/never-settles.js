// expect: never-settles
return new Promise(() => {});
