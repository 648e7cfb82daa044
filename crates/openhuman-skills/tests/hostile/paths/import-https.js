// expect: ok /^refused/
return import('https://public.test/x.js').then(() => 'imported', (e) => `refused ${e.name}: ${e.message}`);
