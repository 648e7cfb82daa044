// expect: ok /^refused/
return import('./missing.js').then(() => 'imported', (e) => `refused ${e.name}: ${e.message}`);
