// expect: ok /replaced/
// after: any
globalThis.__skill = { default: null }; globalThis.tools = 7;
return 'replaced';
