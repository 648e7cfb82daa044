// expect: ok /^undefined$/
return (async () => {}).constructor('return typeof process')();
