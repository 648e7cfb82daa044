// expect: ok /^none$/
return Object.getOwnPropertyNames(globalThis).filter((n) => /^(__op|host|op|use|dispatch|bootstrap|__host|__openhuman)/.test(n)).join() || 'none';
