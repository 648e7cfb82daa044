// expect: throws /stack/i
const f = () => f();
f();
