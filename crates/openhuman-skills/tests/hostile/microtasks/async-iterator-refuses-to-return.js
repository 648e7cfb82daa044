// expect: timeout
// after: any
const it = { [Symbol.asyncIterator]: () => ({ next: async () => ({ done: false }), return: () => new Promise(() => { const f = () => Promise.resolve().then(f); f(); }) }) };
return (async () => { for await (const x of it) break; })();
