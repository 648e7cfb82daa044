// expect: timeout
return Promise.resolve().then(() => ({ get then() { for (;;); } }));
