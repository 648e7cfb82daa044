// Counts turns of an endless loop in a global, so that they can be read after the call was ended.
globalThis.turns = 0;
globalThis.__skill = { default: { tools: [
  { name: 'spin', description: 'Never returns.', execute() { for (;;) globalThis.turns++; } },
  { name: 'turns', description: 'How often it went round.', execute: () => String(globalThis.turns) },
  { name: 'native', description: 'One built-in call that never ends.', execute() { Array.prototype.reverse.call({ length: 2 ** 53 - 1 }); } },
] } };
