// expect: ok /^undefined,undefined,undefined$/
return [typeof SharedArrayBuffer, typeof Atomics, typeof WebAssembly].join();
