// expect: ok /^(done|throws)/
// memory: 32
const out = [];
const odd = (f) => { const a = Array.from({ length: 5000 }, (_, i) => ({ i })); let n = 0; const cut = () => { if (++n === 10) { a.length = 0; a.push(1); } }; try { out.push(typeof f(a, cut)); } catch (e) { out.push(e.name); } };
odd((a, cut) => a.sort((x, y) => { cut(); return (x?.i ?? 0) - (y?.i ?? 0); }));
odd((a, cut) => a.map((x) => { cut(); return x; }));
odd((a, cut) => a.concat({ get length() { for (let i = 0; i < 10; i++) cut(); return 3; }, [Symbol.isConcatSpreadable]: true }, a));
odd((a, cut) => a.splice({ valueOf() { for (let i = 0; i < 10; i++) cut(); return 4000; } }, 1000, ...a.slice(0, 50)));
odd((a, cut) => a.fill(0, { valueOf() { for (let i = 0; i < 10; i++) cut(); return 10; } }));
odd((a, cut) => a.copyWithin(0, { valueOf() { for (let i = 0; i < 10; i++) cut(); return 10; } }));
odd((a, cut) => String(a.map(() => ({ toString() { cut(); return 'x'; } }))));
odd((a, cut) => Math.max(...a.map(() => ({ valueOf() { cut(); return 1; } }))));
odd((a, cut) => a.toSpliced({ valueOf() { for (let i = 0; i < 10; i++) cut(); return 4; } }, 2));
odd((a, cut) => a.flatMap((x) => { cut(); return [x, x]; }));
odd((a, cut) => JSON.stringify(a.map((x) => ({ toJSON() { cut(); return 1; } }))));
odd((a, cut) => new Uint8Array(a.map(() => ({ valueOf() { cut(); return 1; } }))));
return `done ${out}`;
