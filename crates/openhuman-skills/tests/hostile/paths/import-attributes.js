// expect: ok /^refused/
return import('/etc/hostname', { with: { type: 'json' } }).then(() => 'imported', (e) => `refused ${e.name}: ${e.message}`);
