// expect: ok /armed/
const f = () => setTimeout(f, 0);
for (let i = 0; i < 50; i++) f();
return 'armed';
