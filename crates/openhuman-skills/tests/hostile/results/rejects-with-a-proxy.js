// expect: throws /./
return Promise.reject(new Proxy(new Error('x'), { get() { throw new Error('trap'); } }));
