// expect: ok /true/
const refs = []; for (let i = 0; i < 10000; i++) refs.push(new WeakRef({ i }));
return String(refs.filter((r) => r.deref()).length >= 0);
