// expect: ok /^refused/
return import('node:fs').then(() => 'imported', (e) => `refused ${e.name}: ${e.message}`);
