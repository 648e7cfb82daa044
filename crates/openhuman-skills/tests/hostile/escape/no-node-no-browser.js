// expect: ok /^none$/
return ['process', 'require', 'module', 'Deno', 'Bun', 'std', 'os', 'bjson', 'scriptArgs', 'print', 'document', 'indexedDB', 'localStorage', 'Worker', 'importScripts', 'XMLHttpRequest', 'gc', 'navigator'].filter((n) => n in globalThis).join() || 'none';
