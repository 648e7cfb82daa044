// expect: ok /^undefinedundefinedundefined$/
return new Function('return typeof process + typeof require + typeof Deno')();
