// expect: ok /^refused/
return import('data:text/javascript,export default 1').then(() => 'imported', (e) => `refused ${e.name}: ${e.message}`);
