// expect: throws /./ | ok /./
return new Proxy(() => 1, { get() { throw new Error('trap'); } });
