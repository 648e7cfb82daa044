// expect: ok /armed/
// after: any
for (let i = 0; i < 50; i++) setInterval(() => { for (let n = 0; n < 20000; n++); }, 0);
return 'armed';
