// expect: ok /true|false/
let caught; setTimeout(function () { caught = this === globalThis; }, 0);
return new Promise((r) => setTimeout(() => r(String(caught)), 5));
