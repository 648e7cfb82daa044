// expect: ok /collected/
for (let i = 0; i < 300000; i++) { const a = {}, b = { a }; a.b = b; }
return 'collected';
