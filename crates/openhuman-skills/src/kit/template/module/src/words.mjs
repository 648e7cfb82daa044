// @ts-check

/**
 * The number of words in a text.
 * @param {string} text
 */
export function wordCount(text) {
  return text.split(/\s+/).filter(Boolean).length;
}
