// expect: ok /armed/
for (let i = 0; i < 50; i++) setInterval(() => console.log('x'.repeat(10000)), 0);
return 'armed';
