// expect: ok /./
return (async function* () { yield 1; })();
