// expect: ok /logged/ | timeout
for (let i = 0; i < 5000; i++) console.log('x'.repeat(1000));
return 'logged';
