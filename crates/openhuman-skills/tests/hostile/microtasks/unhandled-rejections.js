// expect: timeout | throws /memory/
// after: any
return new Promise(() => { const f = () => { Promise.reject(new Error('nobody')); queueMicrotask(f); }; f(); });
