// WebSocket, after the WHATWG standard, over the host's checks. Only for skills whose manifest asks for it.
(function (op, use) {
  'use strict';
  const { need, usv, bytesOf, expose, constants, dictionary } = use('idl');
  const { Event, EventTarget, handlers, fire } = use('events');
  const { start } = use('async');
  const check = op('websocket.check');
  const open = op('websocket.open');
  const next = op('websocket.next');
  const sendTo = op('websocket.send');
  const queued = op('websocket.queued');
  const closeIt = op('websocket.close');
  const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
  const [CONNECTING, OPEN, CLOSING, CLOSED] = [0, 1, 2, 3];

  class MessageEvent extends Event {
    #data; #origin;
    constructor(type, init) {
      super(...arguments);
      const { data = null, origin = '' } = dictionary(init, 'MessageEvent');
      this.#data = data;
      this.#origin = usv(origin);
    }
    get data() { return this.#data; }
    get origin() { return this.#origin; }
    get lastEventId() { return ''; }
    get source() { return null; }
    get ports() { return []; }
  }
  class CloseEvent extends Event {
    #code; #reason; #wasClean;
    constructor(type, init) {
      super(...arguments);
      const { code = 0, reason = '', wasClean = false } = dictionary(init, 'CloseEvent');
      this.#code = code & 0xffff;
      this.#reason = usv(reason);
      this.#wasClean = Boolean(wasClean);
    }
    get code() { return this.#code; }
    get reason() { return this.#reason; }
    get wasClean() { return this.#wasClean; }
  }
  class ErrorEvent extends Event {
    #message; #error;
    constructor(type, init) {
      super(...arguments);
      const { message = '', error } = dictionary(init, 'ErrorEvent');
      this.#message = usv(message);
      this.#error = error;
    }
    get message() { return this.#message; }
    get error() { return this.#error; }
  }

  const blob = (data) => use('blob').isBlob?.(data) ?? data instanceof globalThis.Blob;

  class WebSocket extends EventTarget {
    #url; #origin; #id; #state = CONNECTING; #protocol = ''; #binaryType = 'blob'; #goodbye; #lost = 0;
    // Messages are sent in order, and a Blob takes a moment to read.
    #before;
    constructor(url, protocols = []) {
      need(arguments, 1, 'WebSocket');
      super();
      this.#url = check(usv(url));
      this.#origin = /^[^:]+:\/\/[^/?]+/.exec(this.#url)[0];
      const list = typeof protocols === 'object' && protocols !== null ? Array.from(protocols, String) : [`${protocols}`];
      if (list.some((name) => !token.test(name)) || new Set(list.map((name) => name.toLowerCase())).size !== list.length) {
        throw new DOMException('WebSocket: the protocols must be distinct tokens', 'SyntaxError');
      }
      this.#run(list);
    }
    async #run(list) {
      let answer;
      try {
        answer = await start(open, this.#url, JSON.stringify(list));
      } catch (error) {
        return this.#end({ code: 1006, reason: '', clean: false }, error);
      }
      this.#id = answer.id;
      this.#protocol = answer.protocol;
      if (this.#state === CLOSING) closeIt(this.#id, ...(this.#goodbye ?? [null, '']));
      else {
        this.#state = OPEN;
        fire(this, new Event('open'));
      }
      for (;;) {
        let message;
        try { message = await start(next, this.#id); } catch (error) { return this.#end({ code: 1006, reason: '', clean: false }, error); }
        if (typeof message === 'string' || message instanceof Uint8Array) {
          if (this.#state !== OPEN) continue;
          let data = message;
          if (typeof message !== 'string') data = this.#binaryType === 'blob' ? new (use('blob').Blob)([message]) : message.buffer;
          fire(this, new MessageEvent('message', { data, origin: this.#origin }));
        } else return this.#end(message);
      }
    }
    #end({ code, reason, clean }, error) {
      this.#state = CLOSED;
      if (!clean) {
        const message = error?.message ?? (reason === '' ? 'WebSocket: the connection was lost' : `WebSocket: ${reason}`);
        fire(this, new ErrorEvent('error', { message, error: error ?? new Error(message) }));
      }
      fire(this, new CloseEvent('close', { code, reason, wasClean: clean }));
    }
    get url() { return this.#url; }
    get readyState() { return this.#state; }
    get protocol() { return this.#protocol; }
    get extensions() { return ''; }
    get bufferedAmount() { return this.#lost + (this.#id === undefined ? 0 : queued(this.#id)); }
    get binaryType() { return this.#binaryType; }
    set binaryType(type) { if (type === 'blob' || type === 'arraybuffer') this.#binaryType = type; }
    send(data) {
      need(arguments, 1, 'WebSocket.send');
      if (this.#state === CONNECTING) throw new DOMException('WebSocket: it is not open yet', 'InvalidStateError');
      const bytes = bytesOf(data);
      const isBlob = bytes === undefined && typeof data === 'object' && data !== null && blob(data);
      const message = bytes ? bytes.slice() : isBlob ? data : usv(data);
      if (this.#state !== OPEN) {
        this.#lost += isBlob ? data.size : bytes ? bytes.byteLength : message.length;
        return;
      }
      if (!isBlob && this.#before === undefined) { sendTo(this.#id, message); return; }
      const before = this.#before;
      const turn = (async () => {
        await before;
        const ready = isBlob ? new Uint8Array(await data.arrayBuffer()) : message;
        if (this.#state === OPEN) sendTo(this.#id, ready);
      })().catch((error) => { fire(this, new ErrorEvent('error', { message: error.message, error })); })
        .finally(() => { if (this.#before === turn) this.#before = undefined; });
      this.#before = turn;
    }
    close(code = undefined, reason = '') {
      if (code !== undefined) {
        code = Math.min(Math.max(Math.trunc(Number(code)) || 0, 0), 65535);
        if (code !== 1000 && (code < 3000 || code > 4999)) {
          throw new DOMException('WebSocket: the code must be 1000 or between 3000 and 4999', 'InvalidAccessError');
        }
      }
      reason = usv(reason);
      if (encodeURIComponent(reason).replace(/%../g, 'x').length > 123) {
        throw new DOMException('WebSocket: the reason has at most 123 bytes', 'SyntaxError');
      }
      if (this.#state === CLOSING || this.#state === CLOSED) return;
      const words = [code ?? (reason === '' ? null : 1000), reason];
      const connected = this.#state === OPEN;
      this.#state = CLOSING;
      if (!connected) this.#goodbye = words;
      else if (this.#before === undefined) closeIt(this.#id, ...words);
      else this.#before.finally(() => closeIt(this.#id, ...words));
    }
  }
  constants(WebSocket, { CONNECTING, OPEN, CLOSING, CLOSED });
  handlers(WebSocket.prototype, 'open', 'message', 'error', 'close');
  expose(MessageEvent, CloseEvent, ErrorEvent, WebSocket);
  return { WebSocket, MessageEvent, CloseEvent, ErrorEvent };
})
