// expect: ok /^undefined$/
return (() => {}).constructor.constructor('return Object.keys(this).length >= 0 && typeof process')();
