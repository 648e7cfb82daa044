// expect: ok /^differ$/
Math.random = () => 0.5; const a = crypto.randomUUID(), b = crypto.randomUUID();
return a === b ? 'same' : 'differ';
