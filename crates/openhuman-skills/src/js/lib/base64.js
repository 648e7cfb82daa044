// atob and btoa, after the HTML standard.
(function (op) {
  'use strict';
  const decode = op('base64.decode');
  const encode = op('base64.encode');
  const one = (args, name) => {
    if (args.length < 1) throw new TypeError(`${name}: 1 argument is required, but there is none`);
    return `${args[0]}`;
  };
  // Methods: functions that cannot be constructed.
  const { atob, btoa } = {
    atob(data) { return decode(one(arguments, 'atob')); },
    btoa(data) { return encode(one(arguments, 'btoa')); },
  };
  return { atob, btoa };
})
