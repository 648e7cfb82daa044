// expect: ok /set|mine/
// after: any
Object.defineProperty = Object.getOwnPropertyDescriptor = Reflect.ownKeys = Object.keys = () => { throw new Error('mine'); };
try { state.setPartial({ a: 1 }); return 'set'; } catch (e) { return e.message; }
