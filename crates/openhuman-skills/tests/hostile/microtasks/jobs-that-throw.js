// expect: throws /again|memory/ | timeout
// after: any
return new Promise(() => { const f = () => { queueMicrotask(f); throw new Error('again'); }; f(); });
