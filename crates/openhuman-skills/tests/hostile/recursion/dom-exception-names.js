// expect: throws /./
const o = { get name() { throw o; }, get message() { throw o; }, toString() { throw o; } };
throw o;
