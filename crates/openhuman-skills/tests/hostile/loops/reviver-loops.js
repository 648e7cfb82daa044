// expect: timeout
return JSON.parse('[1,2]', () => { for (;;); });
