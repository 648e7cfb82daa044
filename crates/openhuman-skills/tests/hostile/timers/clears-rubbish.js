// expect: ok /armed/
for (const x of [undefined, null, -1, 1e99, {}, 'x', NaN, [1]]) { clearTimeout(x); clearInterval(x); }
return 'armed';
