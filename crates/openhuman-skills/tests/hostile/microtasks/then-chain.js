// expect: timeout
// after: any
return new Promise(() => { const f = () => Promise.resolve().then(f); f(); });
