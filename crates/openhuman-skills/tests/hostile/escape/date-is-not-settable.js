// expect: ok /registered/
// after: any
Date.now = () => 0; globalThis.Date = class {};
return cron.register('d', '0 0 0 1 1 *') ? 'registered' : 'no';
