// expect: ok /^refused/
return import('fs').then(() => 'imported', (e) => `refused ${e.name}: ${e.message}`);
