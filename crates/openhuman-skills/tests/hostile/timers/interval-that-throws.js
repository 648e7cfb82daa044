// expect: ok /armed/
for (let i = 0; i < 20; i++) setInterval(() => { throw new Error('again'); }, 0);
return 'armed';
