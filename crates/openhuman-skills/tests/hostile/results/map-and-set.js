// expect: ok /./ | throws /./
return { m: new Map([[1, 2]]), s: new Set([1]), d: new Date(NaN), r: /x/, e: new Error('x') };
