// expect: ok /armed/
try { setTimeout(() => {}, { valueOf() { clearTimeout(1); setTimeout(() => {}, 5); return 1; } }); } catch (e) {}
return 'armed';
