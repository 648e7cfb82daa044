// expect: ok /^refused/
return import('/etc/passwd').then(() => 'imported', (e) => `refused ${e.name}: ${e.message}`);
