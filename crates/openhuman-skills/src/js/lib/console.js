// Logging, and how values and errors look as text.
(function (op) {
  'use strict';
  const { stringify } = JSON;
  const write = op('console.log');
  const text = (value) => String(value).toWellFormed();

  // Where in the skill's own script an error arose, innermost first: no frames of the library, of the engine, or of
  // text that was evaluated or parsed.
  const frames = (error, most) => {
    try {
      const foreign = (line) => line.includes('(<null>') || line.includes('(openhuman:') || line.includes('<input>:') || line.endsWith('(native)');
      return String(error.stack ?? '').split('\n').map((line) => line.trimEnd())
        .filter((line) => line.trimStart().startsWith('at ') && !foreign(line))
        .slice(0, most).map((line) => '\n' + line).join('');
    } catch { return ''; }
  };
  const show = (value) => {
    if (typeof value === 'string') return value;
    if (value instanceof Error) return `${value.name}: ${value.message}${frames(value, 10)}`;
    if (typeof value === 'object' && value !== null) {
      try { return stringify(value) ?? String(value); } catch { /* cyclic */ }
    }
    try { return String(value); } catch { return '[unprintable]'; }
  };
  const failure = (error) => {
    try {
      if (error instanceof Error) {
        return text((error.name === 'Error' ? '' : `${error.name}: `) + error.message + frames(error, 2));
      }
      return text(show(error));
    } catch { return 'an error that cannot be shown'; }
  };
  const logger = (level) => (...args) => { write(level, text(args.map(show).join(' '))); };
  const console = {
    log: logger('info'), info: logger('info'), warn: logger('warn'), error: logger('error'),
    debug: logger('debug'), trace: logger('debug'),
  };
  return { console, failure };
})
