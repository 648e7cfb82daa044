// expect: timeout
const endless = { next() { return { done: false, value: 1 }; } };
return Iterator.from(endless).filter(() => false).drop(3).toArray();
