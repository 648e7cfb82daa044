// expect: timeout
return 'aaa'.replace(/a/g, () => { for (;;); });
