// expect: ok /armed/
setInterval(async () => { throw new Error('x'); }, 0);
return 'armed';
