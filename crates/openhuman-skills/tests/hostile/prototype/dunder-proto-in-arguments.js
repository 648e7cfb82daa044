// expect: ok /"polluted":false,"read":false/
const o = JSON.parse('{"__proto__": {"polluted": true}}'); Object.assign({}, o); state.set('p', o);
return { polluted: {}.polluted === true, read: state.get('p').polluted === true && Object.getPrototypeOf(state.get('p')) !== Object.prototype };
