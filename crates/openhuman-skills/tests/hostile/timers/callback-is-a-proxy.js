// expect: ok /armed/
setTimeout(new Proxy(() => {}, { apply() { throw new Error('trap'); } }), 0);
return 'armed';
