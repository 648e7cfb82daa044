// expect: ok /armed/
for (const x of [NaN, -1, undefined, null, {}, 'x']) { try { sleep(x); } catch (e) {} }
return 'armed';
