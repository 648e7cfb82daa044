// expect: ok /^refused/
return import('file:///etc/passwd').then(() => 'imported', (e) => `refused ${e.name}: ${e.message}`);
