// TextEncoder and TextDecoder, after the encoding standard.
(function (op, use) {
  'use strict';
  const { fail, need, usv, dictionary, bytesOf, concat, expose } = use('idl');
  const encode = op('encoding.encode');
  const encodeInto = op('encoding.encodeInto');
  const decode = op('encoding.decode');
  const labelled = op('encoding.label');

  class TextEncoder {
    #brand;
    get encoding() { this.#brand; return 'utf-8'; }
    encode(input = '') { this.#brand; return encode(usv(input)); }
    encodeInto(source, destination) {
      this.#brand;
      need(arguments, 2, 'TextEncoder.encodeInto');
      if (!(destination instanceof Uint8Array)) fail('TextEncoder.encodeInto: the destination must be a Uint8Array');
      const [bytes, read] = encodeInto(usv(source), destination.byteLength);
      destination.set(bytes);
      return { read, written: bytes.byteLength };
    }
  }

  const NONE = new Uint8Array(0);
  class TextDecoder {
    #encoding = 'utf-8'; #fatal; #ignoreBOM;
    // Between the chunks of a stream: bytes of an unfinished character, and whether the start was seen.
    #rest = NONE; #started = false; #streaming = false;
    constructor(label = 'utf-8', options) {
      label = `${label}`;
      if (label !== 'utf-8') {
        this.#encoding = labelled(label);
        if (this.#encoding === undefined) throw new RangeError(`The "${label}" encoding is not supported`);
      }
      const { fatal, ignoreBOM } = dictionary(options, 'TextDecoder');
      this.#fatal = Boolean(fatal);
      this.#ignoreBOM = Boolean(ignoreBOM);
    }
    get encoding() { return this.#encoding; }
    get fatal() { return this.#fatal; }
    get ignoreBOM() { return this.#ignoreBOM; }
    decode(input, options) {
      let bytes = input === undefined ? (this.#fatal, NONE) : bytesOf(input) ?? fail('TextDecoder.decode: the input must be an ArrayBuffer or a view of one');
      const stream = Boolean(dictionary(options, 'TextDecoder.decode').stream);
      if (!this.#streaming) {
        this.#rest = NONE;
        this.#started = false;
      }
      this.#streaming = stream;
      if (this.#rest.byteLength > 0) bytes = concat([this.#rest, bytes]);
      const answer = decode(this.#encoding, bytes, this.#fatal, stream);
      if (answer === null) {
        this.#streaming = false;
        const error = new TypeError(`The encoded data was not valid for encoding ${this.#encoding}`);
        error.code = 'ERR_ENCODING_INVALID_ENCODED_DATA';
        throw error;
      }
      let [text, rest] = answer;
      this.#rest = rest > 0 ? bytes.slice(bytes.byteLength - rest) : NONE;
      if (!this.#started && text !== '') {
        this.#started = true;
        if (!this.#ignoreBOM && text.charCodeAt(0) === 0xfeff && this.#encoding.startsWith('utf-')) text = text.slice(1);
      }
      return text;
    }
  }
  expose(TextEncoder, TextDecoder);

  // A body as text: UTF-8 without its byte order mark.
  const utf8 = (bytes) => {
    const [text] = decode('utf-8', bytes, false, false);
    return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
  };
  return { TextEncoder, TextDecoder, utf8, encode: (text) => encode(usv(text)) };
})
