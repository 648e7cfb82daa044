// expect: throws /memory/ | timeout
const endless = { next() { return { done: false, value: [1, 2, 3] }; } };
return Iterator.from(endless).map((x) => x.slice()).toArray().length;
