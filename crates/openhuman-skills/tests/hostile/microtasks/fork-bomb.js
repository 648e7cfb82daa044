// expect: timeout | throws /memory/
// after: any
const f = () => { Promise.resolve().then(f, f).finally(f); Promise.resolve().then(f); };
f(); return new Promise(() => {});
