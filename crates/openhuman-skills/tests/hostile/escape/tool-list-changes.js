// expect: ok /changed/
// after: any
globalThis.__skill.default.tools = new Proxy([], { get() { throw new Error('trap'); } });
return 'changed';
