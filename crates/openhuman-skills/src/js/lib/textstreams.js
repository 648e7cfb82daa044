// TextEncoderStream and TextDecoderStream, after the encoding standard.
(function (op, use) {
  'use strict';
  const { fail, bytesOf, expose } = use('idl');
  const { TransformStream } = use('transform');
  const { TextEncoder, TextDecoder } = use('encoding');

  class TextEncoderStream {
    #stream;
    constructor() {
      const encoder = new TextEncoder();
      let high = '';
      this.#stream = new TransformStream({
        transform(chunk, controller) {
          let text = high + `${chunk}`;
          high = '';
          if (/[\ud800-\udbff]$/.test(text)) {
            high = text.slice(-1);
            text = text.slice(0, -1);
          }
          if (text !== '') controller.enqueue(encoder.encode(text));
        },
        flush(controller) { if (high !== '') controller.enqueue(new Uint8Array([0xef, 0xbf, 0xbd])); },
      });
    }
    get encoding() { this.#stream; return 'utf-8'; }
    get readable() { return this.#stream.readable; }
    get writable() { return this.#stream.writable; }
  }

  class TextDecoderStream {
    #decoder; #stream;
    constructor(label, options) {
      const decoder = (this.#decoder = new TextDecoder(label, options));
      this.#stream = new TransformStream({
        transform(chunk, controller) {
          if (bytesOf(chunk) === undefined) fail('TextDecoderStream: a chunk must be an ArrayBuffer or a view of one');
          const text = decoder.decode(chunk, { stream: true });
          if (text !== '') controller.enqueue(text);
        },
        flush(controller) {
          const text = decoder.decode();
          if (text !== '') controller.enqueue(text);
        },
      });
    }
    get encoding() { return this.#decoder.encoding; }
    get fatal() { return this.#decoder.fatal; }
    get ignoreBOM() { return this.#decoder.ignoreBOM; }
    get readable() { return this.#stream.readable; }
    get writable() { return this.#stream.writable; }
  }
  expose(TextEncoderStream, TextDecoderStream);

  return { TextEncoderStream, TextDecoderStream };
})
