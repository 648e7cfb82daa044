// @ts-check
import { wordCount } from './src/words.mjs';

test('counts words', () => {
  expect(wordCount('to be  or\nnot to be')).toBe(6);
  expect(wordCount(' ')).toBe(0);
});

test('the tool counts', () => {
  expect(sim.call('count_words', { text: 'two words' })).toEqual({ words: 2 });
});
