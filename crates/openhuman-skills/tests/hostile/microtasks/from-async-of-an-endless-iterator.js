// expect: throws /memory/ | timeout
return Array.fromAsync((async function* () { for (;;) yield new Array(100).fill(1); })()).then((a) => a.length);
