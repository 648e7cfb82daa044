// expect: ok /^refused/
return import('./index.js\0.png').then(() => 'imported', (e) => `refused ${e.name}: ${e.message}`);
