// @ts-check

/** @type {Skill} */
const skill = {
  tools: [
    {
      name: 'greet',
      description: 'Greets somebody by name and counts the greetings. Use it when the user wants to say hello.',
      inputSchema: {
        type: 'object',
        properties: { name: { type: 'string', description: 'Whom to greet' } },
        required: ['name'],
      },
      /** @param {{ name: string }} args */
      execute({ name }) {
        const count = (state.get('greetings') ?? 0) + 1;
        state.set('greetings', count);
        return { greeting: `Hello, ${name}!`, count };
      },
    },
  ],
};

globalThis.__skill = { default: skill };
