// crypto and crypto.subtle, after the web cryptography standard: digests, HMAC, AES-GCM, PBKDF2 and HKDF.
(function (op, use) {
  'use strict';
  const { fail, need, isObject, bytesOf, expose } = use('idl');
  const random = op('crypto.random');
  const digest = op('crypto.digest');
  const sign = op('crypto.sign');
  const verify = op('crypto.verify');
  const seal = op('crypto.seal');
  const open = op('crypto.open');
  const hkdf = op('crypto.hkdf');
  const pbkdf2 = op('crypto.pbkdf2');
  const raise = (name, text) => { throw new DOMException(text, name); };
  const hidden = {};

  const randomUUID = () => {
    const bytes = random(16);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    const all = bytes.toHex();
    return `${all.slice(0, 8)}-${all.slice(8, 12)}-${all.slice(12, 16)}-${all.slice(16, 20)}-${all.slice(20)}`;
  };

  let insideOf;
  class CryptoKey {
    #key;
    constructor(key, inside) { if (key !== hidden) fail('Illegal constructor'); this.#key = inside; }
    get type() { this.#key; return 'secret'; }
    get extractable() { return this.#key.extractable; }
    get algorithm() { return this.#key.algorithm; }
    get usages() { return this.#key.usages; }
    static { insideOf = (key) => (isObject(key) && #key in key ? key.#key : fail('the key must be a CryptoKey')); }
  }

  // Algorithms. Each: the usages its keys may have, and what it can do.
  const HASHES = { 'SHA-1': [512, 'HS1'], 'SHA-256': [512, 'HS256'], 'SHA-384': [1024, 'HS384'], 'SHA-512': [1024, 'HS512'] };
  const bytes = (value, what) => bytesOf(value)?.slice() ?? fail(`${what} must be an ArrayBuffer or a view of one`);
  const member = (algorithm, name) => bytes(algorithm[name], `algorithm.${name}`);
  const whole = (value, what, most = 0xffffffff) => {
    const number = Math.trunc(Number(value));
    return number >= 0 && number <= most ? number : fail(`${what} must be a number from 0 to ${most}`);
  };
  const named = (algorithm, table, doing) => {
    const given = typeof algorithm === 'string' ? { name: algorithm } : isObject(algorithm) ? algorithm : fail('the algorithm must be a string or an object');
    if (given.name === undefined) fail('the algorithm must have a name');
    const name = `${given.name}`;
    const found = Object.keys(table).find((known) => known.toLowerCase() === name.toLowerCase());
    if (found === undefined) raise('NotSupportedError', `Unrecognized algorithm name: ${name} (${doing})`);
    return [found, given];
  };
  const hashOf = (algorithm) => (algorithm.hash === undefined ? fail('algorithm.hash is missing') : named(algorithm.hash, HASHES, 'hash')[0]);
  const AES_LENGTHS = [128, 192, 256];
  const aes = (length, error) => {
    if (!AES_LENGTHS.includes(length)) raise(error, 'the length of an AES key must be 128, 192 or 256 bits');
    if (length === 192) raise('NotSupportedError', 'AES keys of 192 bits are not supported here');
    return length;
  };
  const ALGORITHMS = {
    HMAC: {
      usages: ['sign', 'verify'],
      length: (algorithm) => {
        const hash = hashOf(algorithm);
        if (algorithm.length === undefined) return HASHES[hash][0];
        const length = whole(algorithm.length, 'algorithm.length');
        if (length === 0) raise('OperationError', 'the length of a key cannot be 0');
        return length % 8 === 0 ? length : raise('NotSupportedError', 'the length of a key must be whole bytes');
      },
      import: (algorithm, data) => {
        const hash = hashOf(algorithm);
        if (data.byteLength === 0) raise('DataError', 'Zero-length key is not supported');
        const length = data.byteLength * 8;
        if (algorithm.length !== undefined && whole(algorithm.length, 'algorithm.length') !== length) raise('DataError', 'Invalid key length');
        return { hash: { name: hash }, name: 'HMAC', length };
      },
      jwk: ({ hash }) => HASHES[hash.name][1],
      use: 'sig',
    },
    'AES-GCM': {
      usages: ['encrypt', 'decrypt', 'wrapKey', 'unwrapKey'],
      length: (algorithm) => aes(whole(algorithm.length, 'algorithm.length', 65535), 'OperationError'),
      import: (algorithm, data) => ({ name: 'AES-GCM', length: aes(data.byteLength * 8, 'DataError') }),
      jwk: ({ length }) => `A${length}GCM`,
      use: 'enc',
    },
    PBKDF2: { usages: ['deriveKey', 'deriveBits'], import: () => ({ name: 'PBKDF2' }), derived: true },
    HKDF: { usages: ['deriveKey', 'deriveBits'], import: () => ({ name: 'HKDF' }), derived: true },
  };
  const pick = (names) => Object.fromEntries(names.map((name) => [name, ALGORITHMS[name]]));
  const KEYED = pick(['HMAC', 'AES-GCM']);
  const DERIVING = pick(['PBKDF2', 'HKDF']);
  const SIGNING = pick(['HMAC']);
  const SEALING = pick(['AES-GCM']);

  const USAGES = ['encrypt', 'decrypt', 'sign', 'verify', 'deriveKey', 'deriveBits', 'wrapKey', 'unwrapKey'];
  const usagesOf = (usages, name) => {
    if (!isObject(usages) || typeof usages[Symbol.iterator] !== 'function') fail('the usages of a key must be an array');
    const all = [...usages].map((usage) => (USAGES.includes(usage) ? usage : fail(`"${usage}" is not a usage of a key`)));
    if (!all.every((usage) => ALGORITHMS[name].usages.includes(usage))) raise('SyntaxError', `Unsupported key usage for a ${name} key`);
    if (all.length === 0) raise('SyntaxError', 'Usages cannot be empty when importing a secret key.');
    return USAGES.filter((usage) => all.includes(usage));
  };
  const make = (name, algorithm, data, extractable, usages) => new CryptoKey(hidden, { algorithm, data, extractable: Boolean(extractable), usages, name });

  const fromJwk = (jwk, name, algorithm, extractable, usages) => {
    if (jwk.kty !== 'oct') raise('DataError', 'Invalid JWK "kty" Parameter');
    if (jwk.use !== undefined && usages.length > 0 && jwk.use !== ALGORITHMS[name].use) raise('DataError', 'Invalid JWK "use" Parameter');
    if (jwk.key_ops !== undefined) {
      if (!Array.isArray(jwk.key_ops)) fail('JWK "key_ops" must be an array');
      const ops = new Set(jwk.key_ops);
      if (ops.size < jwk.key_ops.length || !usages.every((usage) => ops.has(usage))) raise('DataError', 'Key operations and usage mismatch');
    }
    if (jwk.ext === false && extractable) raise('DataError', 'JWK "ext" Parameter and extractable mismatch');
    let data;
    try {
      if (typeof jwk.k !== 'string' || /[^\w-]/.test(jwk.k)) throw new Error('not base64url');
      data = Uint8Array.fromBase64(jwk.k, { alphabet: 'base64url' });
    } catch { raise('DataError', 'Invalid JWK'); }
    const described = ALGORITHMS[name].import(algorithm, data);
    if (jwk.alg !== undefined && jwk.alg !== ALGORITHMS[name].jwk(described)) raise('DataError', 'JWK "alg" does not match the requested algorithm');
    return [described, data];
  };

  const may = (key, name, usage) => {
    const inside = insideOf(key);
    if (inside.name !== name) raise('InvalidAccessError', 'Key algorithm mismatch');
    if (!inside.usages.includes(usage)) raise('InvalidAccessError', `Unable to use this key to ${usage}`);
    return inside;
  };
  const aesArguments = (algorithm) => {
    const iv = member(algorithm, 'iv');
    const extra = algorithm.additionalData === undefined ? new Uint8Array(0) : member(algorithm, 'additionalData');
    const tag = algorithm.tagLength === undefined ? 128 : whole(algorithm.tagLength, 'algorithm.tagLength', 255);
    if (![32, 64, 96, 104, 112, 120, 128].includes(tag)) raise('OperationError', `${tag} is not a valid AES-GCM tag length`);
    if (tag !== 128) raise('NotSupportedError', 'the tag of AES-GCM has 128 bits here');
    return [iv, extra];
  };
  const derive = async (algorithm, key, length, usage) => {
    const [name, given] = named(algorithm, DERIVING, usage);
    const hash = hashOf(given);
    const salt = member(given, 'salt');
    const info = name === 'HKDF' ? member(given, 'info') : undefined;
    const rounds = name === 'PBKDF2' ? whole(given.iterations, 'algorithm.iterations') : undefined;
    const { data } = may(key, name, usage);
    if (length === null || length === undefined || length % 8 !== 0) raise('OperationError', 'the length must be a multiple of 8');
    if (rounds === 0) raise('OperationError', 'iterations cannot be zero');
    if (length === 0) return new Uint8Array(0);
    if (name === 'HKDF') return hkdf(hash, data, salt, info, length / 8);
    return use('async').start(pbkdf2, hash, data, salt, rounds, length / 8);
  };

  class SubtleCrypto {
    #brand;
    constructor(key) { if (key !== hidden) fail('Illegal constructor'); }
    async digest(algorithm, data) {
      this.#brand;
      need(arguments, 2, 'digest');
      const [name] = named(algorithm, HASHES, 'digest');
      return digest(name, bytes(data, 'the data')).buffer;
    }
    async generateKey(algorithm, extractable, usages) {
      this.#brand;
      need(arguments, 3, 'generateKey');
      const [name, given] = named(algorithm, KEYED, 'generateKey');
      const length = ALGORITHMS[name].length(given);
      const allowed = usagesOf(usages, name);
      const parts = [];
      for (let left = length / 8; left > 0; left -= 65536) parts.push(random(Math.min(left, 65536)));
      const data = use('idl').concat(parts);
      return make(name, ALGORITHMS[name].import({ ...given, hash: given.hash, length }, data), data, extractable, allowed);
    }
    async importKey(format, keyData, algorithm, extractable, usages) {
      this.#brand;
      need(arguments, 4, 'importKey');
      if (!['raw', 'jwk', 'pkcs8', 'spki'].includes(`${format}`)) fail(`"${format}" is not a format of a key`);
      const [name, given] = named(algorithm, ALGORITHMS, 'importKey');
      const kind = ALGORITHMS[name];
      if (`${format}` === 'jwk' && !kind.derived) {
        if (!isObject(keyData) || bytesOf(keyData)) fail('the key must be a JSON web key');
        const allowed = usagesOf(usages, name);
        const [described, data] = fromJwk(keyData, name, given, extractable, allowed);
        return make(name, described, data, extractable, allowed);
      }
      if (`${format}` !== 'raw') raise('NotSupportedError', `Unable to import a ${name} key with format ${format}`);
      const data = bytes(keyData, 'the key');
      const allowed = usagesOf(usages, name);
      if (kind.derived && extractable) raise('SyntaxError', `${name} keys are not extractable`);
      return make(name, kind.import(given, data), data, extractable, allowed);
    }
    async exportKey(format, key) {
      this.#brand;
      need(arguments, 2, 'exportKey');
      const { name, data, algorithm, extractable, usages } = insideOf(key);
      if (!['raw', 'jwk', 'pkcs8', 'spki'].includes(`${format}`)) fail(`"${format}" is not a format of a key`);
      if (!extractable) raise('InvalidAccessError', 'key is not extractable');
      if (`${format}` === 'raw') return data.slice().buffer;
      if (`${format}` !== 'jwk') raise('NotSupportedError', `Unable to export a secret key with format ${format}`);
      return { key_ops: usages, ext: extractable, alg: ALGORITHMS[name].jwk(algorithm), kty: 'oct', k: data.toBase64({ alphabet: 'base64url', omitPadding: true }) };
    }
    async sign(algorithm, key, data) {
      this.#brand;
      need(arguments, 3, 'sign');
      const [name] = named(algorithm, SIGNING, 'sign');
      const input = bytes(data, 'the data');
      const inside = may(key, name, 'sign');
      return sign(inside.algorithm.hash.name, inside.data, input).buffer;
    }
    async verify(algorithm, key, signature, data) {
      this.#brand;
      need(arguments, 4, 'verify');
      const [name] = named(algorithm, SIGNING, 'verify');
      const [tag, input] = [bytes(signature, 'the signature'), bytes(data, 'the data')];
      const inside = may(key, name, 'verify');
      return verify(inside.algorithm.hash.name, inside.data, input, tag);
    }
    async encrypt(algorithm, key, data) {
      this.#brand;
      need(arguments, 3, 'encrypt');
      const [name, given] = named(algorithm, SEALING, 'encrypt');
      const [iv, extra] = aesArguments(given);
      const input = bytes(data, 'the data');
      return seal(may(key, name, 'encrypt').data, iv, extra, input).buffer;
    }
    async decrypt(algorithm, key, data) {
      this.#brand;
      need(arguments, 3, 'decrypt');
      const [name, given] = named(algorithm, SEALING, 'decrypt');
      const [iv, extra] = aesArguments(given);
      const input = bytes(data, 'the data');
      return open(may(key, name, 'decrypt').data, iv, extra, input).buffer;
    }
    async deriveBits(algorithm, key, length = null) {
      this.#brand;
      need(arguments, 2, 'deriveBits');
      return (await derive(algorithm, key, length === null ? null : whole(length, 'the length'), 'deriveBits')).buffer;
    }
    async deriveKey(algorithm, key, derivedType, extractable, usages) {
      this.#brand;
      need(arguments, 5, 'deriveKey');
      const [name, given] = named(derivedType, KEYED, 'deriveKey');
      const length = ALGORITHMS[name].length(given);
      const allowed = usagesOf(usages, name);
      const data = await derive(algorithm, key, length, 'deriveKey');
      return make(name, ALGORITHMS[name].import(given, data), data, extractable, allowed);
    }
  }

  const INTEGERS = ['Int8Array', 'Uint8Array', 'Uint8ClampedArray', 'Int16Array', 'Uint16Array', 'Int32Array', 'Uint32Array', 'BigInt64Array', 'BigUint64Array'];
  const subtle = new SubtleCrypto(hidden);
  class Crypto {
    #brand;
    constructor(key) { if (key !== hidden) fail('Illegal constructor'); }
    get subtle() { this.#brand; return subtle; }
    getRandomValues(array) {
      this.#brand;
      need(arguments, 1, 'getRandomValues');
      if (!ArrayBuffer.isView(array) || !INTEGERS.includes(Object.prototype.toString.call(array).slice(8, -1))) {
        raise('TypeMismatchError', 'The data argument must be an integer-type TypedArray');
      }
      if (array.byteLength > 65536) raise('QuotaExceededError', `The requested length exceeds 65,536 bytes`);
      bytesOf(array).set(random(array.byteLength));
      return array;
    }
    randomUUID() { this.#brand; return randomUUID(); }
  }
  expose(Crypto, SubtleCrypto, CryptoKey);

  return { Crypto, SubtleCrypto, CryptoKey, crypto: new Crypto(hidden), randomUUID };
})
