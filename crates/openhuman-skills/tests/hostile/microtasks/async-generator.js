// expect: timeout
// after: any
async function* g() { for (;;) yield 1; }
return (async () => { for await (const x of g()); })();
