// expect: ok /^undefined(,undefined)+$/
return [typeof require, typeof process, typeof module, typeof __dirname, typeof Deno, typeof std, typeof os].join();
