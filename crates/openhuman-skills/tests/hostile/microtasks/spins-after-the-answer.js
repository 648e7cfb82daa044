// expect: ok /answered/
// after: any
Promise.resolve().then(() => { const f = () => Promise.resolve().then(f); f(); });
return 'answered';
