// expect: throws /BigInt/i
return { n: 1n };
