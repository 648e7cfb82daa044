// The language model.
(function (op, use) {
  'use strict';
  const { stringify } = JSON;
  const { start } = use('async');
  const generate = op('model.generate');
  const summarize = op('model.summarize');
  const model = {
    generate: (prompt, options) => start(generate, String(prompt), stringify(options ?? null)),
    summarize: (text, options) => start(summarize, String(text), stringify(options ?? null)),
  };
  return { model };
})
