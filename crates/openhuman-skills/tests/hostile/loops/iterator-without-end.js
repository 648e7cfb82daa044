// expect: timeout
const it = { [Symbol.iterator]: () => ({ next: () => ({ done: false, value: 1 }) }) };
for (const x of it);
