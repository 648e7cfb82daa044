// expect: timeout | throws /memory/
// after: any
return new Promise(() => { const f = () => { queueMicrotask(f); queueMicrotask(f); }; f(); });
