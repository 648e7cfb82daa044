// @ts-check
import { wordCount } from './src/words.mjs';

/** @type {Skill} */
export default {
  tools: [
    {
      name: 'count_words',
      description: 'Counts the words of a text. Use it when the user asks how long a text is.',
      inputSchema: {
        type: 'object',
        properties: { text: { type: 'string', description: 'The text' } },
        required: ['text'],
      },
      /** @param {{ text: string }} args */
      execute: ({ text }) => ({ words: wordCount(text) }),
    },
  ],
};
