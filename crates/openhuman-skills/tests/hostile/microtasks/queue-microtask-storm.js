// expect: timeout
// after: any
return new Promise(() => { const f = () => queueMicrotask(f); f(); });
