// expect: timeout
// after: any
let p = Promise.resolve();
return new Promise(() => { const f = () => { p = p.finally(f); }; f(); });
