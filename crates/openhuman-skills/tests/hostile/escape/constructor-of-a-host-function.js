// expect: ok /^undefinedundefined$/
return net.fetch.constructor('return typeof process + typeof host')();
