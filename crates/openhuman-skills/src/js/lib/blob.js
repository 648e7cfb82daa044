// Blob and File, after the file API. The bytes are in memory, in one piece.
(function (op, use) {
  'use strict';
  const { fail, need, usv, isObject, dictionary, bytesOf, concat, expose } = use('idl');
  const { encode, utf8 } = use('encoding');

  const typeOf = (type) => {
    type = `${type}`;
    return /^[\x20-\x7e]*$/.test(type) ? type.toLowerCase() : '';
  };
  const clamp = (value, size, otherwise) => {
    if (value === undefined) return otherwise;
    value = Math.trunc(Number(value)) || 0;
    return value < 0 ? Math.max(size + value, 0) : Math.min(value, size);
  };
  const hidden = {};

  let contents;
  class Blob {
    #bytes; #type;
    constructor(parts, options) {
      if (parts === hidden) { [this.#bytes, this.#type] = options; return; }
      if (parts !== undefined && (!isObject(parts) || typeof parts[Symbol.iterator] !== 'function')) fail('Blob: the parts must be an array');
      const { type = '', endings = 'transparent' } = dictionary(options, 'Blob');
      if (`${endings}` !== 'transparent' && `${endings}` !== 'native') fail('Blob: `endings` must be "transparent" or "native"');
      const native = `${endings}` === 'native';
      const part = (value) => {
        if (isObject(value)) {
          if (#bytes in value) return value.#bytes;
          const bytes = bytesOf(value);
          if (bytes) return bytes.slice();
        }
        const text = usv(value);
        return encode(native ? text.replace(/\r\n?|\n/g, '\n') : text);
      };
      this.#bytes = parts === undefined ? new Uint8Array(0) : concat(Array.from(parts, part));
      this.#type = typeOf(type);
    }
    get size() { return this.#bytes.byteLength; }
    get type() { return this.#type; }
    slice(start, end, type = '') {
      const { byteLength } = this.#bytes;
      const from = clamp(start, byteLength, 0);
      return new Blob(hidden, [this.#bytes.subarray(from, Math.max(from, clamp(end, byteLength, byteLength))), typeOf(type)]);
    }
    async arrayBuffer() { return this.#bytes.slice().buffer; }
    async bytes() { return this.#bytes.slice(); }
    async text() { return utf8(this.#bytes); }
    stream() {
      const bytes = this.#bytes;
      let at = 0;
      return use('streams').make((feed) => {
        if (at < bytes.byteLength) feed.enqueue(bytes.slice(at, at += 65536));
        if (at >= bytes.byteLength) feed.close();
      }, undefined, 0, { bytes: true }).stream;
    }
    static { contents = (blob) => (isObject(blob) && #bytes in blob ? blob.#bytes : undefined); }
  }

  class File extends Blob {
    #name; #modified;
    constructor(parts, name, options) {
      need(arguments, 2, 'File');
      super(parts, options);
      this.#name = usv(name);
      const { lastModified } = dictionary(options, 'File');
      this.#modified = lastModified === undefined ? Date.now() : Math.trunc(Number(lastModified)) || 0;
    }
    get name() { return this.#name; }
    get lastModified() { return this.#modified; }
    get webkitRelativePath() { return ''; }
  }
  expose(Blob, File);

  // `contents` gives the bytes of a blob, undefined for anything else; `make` a blob over bytes that nobody changes.
  return { Blob, File, contents, make: (bytes, type) => new Blob(hidden, [bytes, typeOf(type)]) };
})
