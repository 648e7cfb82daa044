// expect: timeout
Error.prepareStackTrace = () => { for (;;); };
return String(new Error('x').stack);
