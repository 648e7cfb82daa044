// expect: timeout
// after: any
class P extends Promise { static get [Symbol.species]() { return P; } }
return new Promise(() => { const f = () => P.resolve().then(f); f(); });
