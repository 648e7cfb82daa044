// expect: ok /armed/
// after: any
for (let i = 0; i < 120; i++) setInterval(() => { sleep(1); }, 0);
return 'armed';
