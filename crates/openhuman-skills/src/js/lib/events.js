// Events and their targets, after the DOM standard. There is no tree: an event is always at its target.
(function (op, use) {
  'use strict';
  const { fail, need, isObject, dictionary, expose, constants } = use('idl');
  const { defineProperty } = Object;

  // What an exception becomes that nobody can catch.
  const report = (error) => { try { globalThis.console.error('Uncaught', error); } catch { /* the skill replaced it */ } };

  let dispatch, create, isEvent, isRunning;
  const trusted = new WeakSet();
  const isTrusted = { get: function isTrusted() { return trusted.has(this); }, enumerable: true };
  class Event {
    #type; #bubbles; #cancelable; #composed; #time;
    #target = null; #current = null; #phase = 0;
    #canceled = false; #stop = false; #stopNow = false; #passive = false; #running = false;
    constructor(type, init) {
      need(arguments, 1, 'Event');
      this.#type = `${type}`;
      const { bubbles, cancelable, composed } = dictionary(init, 'Event');
      this.#bubbles = Boolean(bubbles);
      this.#cancelable = Boolean(cancelable);
      this.#composed = Boolean(composed);
      this.#time = globalThis.performance.now();
      defineProperty(this, 'isTrusted', isTrusted);
    }
    get type() { return this.#type; }
    get target() { return this.#target; }
    get srcElement() { return this.#target; }
    get currentTarget() { return this.#current; }
    composedPath() { return this.#current === null ? [] : [this.#current]; }
    get eventPhase() { return this.#phase; }
    stopPropagation() { this.#stop = true; }
    get cancelBubble() { return this.#stop; }
    set cancelBubble(value) { if (value) this.#stop = true; }
    stopImmediatePropagation() { this.#stop = this.#stopNow = true; }
    get bubbles() { return this.#bubbles; }
    get cancelable() { return this.#cancelable; }
    get returnValue() { return !this.#canceled; }
    set returnValue(value) { if (!value) this.preventDefault(); }
    preventDefault() { if (this.#cancelable && !this.#passive) this.#canceled = true; }
    get defaultPrevented() { return this.#canceled; }
    get composed() { return this.#composed; }
    get timeStamp() { return this.#time; }
    initEvent(type, bubbles = false, cancelable = false) {
      need(arguments, 1, 'Event.initEvent');
      if (this.#running) return;
      this.#type = `${type}`;
      this.#bubbles = Boolean(bubbles);
      this.#cancelable = Boolean(cancelable);
      this.#target = null;
      this.#stop = this.#stopNow = this.#canceled = false;
      trusted.delete(this);
    }
    static {
      create = (type) => { const event = new Event(type); trusted.add(event); return event; };
      dispatch = (target, event, listeners) => {
        event.#running = true;
        event.#target = event.#current = target;
        event.#phase = 2;
        // Listeners that are added meanwhile wait for the next event; capturing ones come first.
        const now = listeners.slice();
        for (const capture of [true, false]) {
          if (event.#stop) break;
          for (const listener of now) {
            if (listener.capture !== capture || listener.removed) continue;
            if (listener.once) target.removeEventListener(event.#type, listener.callback, { capture });
            event.#passive = listener.passive;
            const { callback } = listener;
            try {
              if (typeof callback === 'function') callback.call(target, event);
              else if (typeof callback.handleEvent === 'function') callback.handleEvent(event);
              else fail('EventTarget: the listener has no handleEvent function');
            } catch (error) { report(error); }
            event.#passive = false;
            if (event.#stopNow) break;
          }
        }
        event.#phase = 0;
        event.#current = null;
        event.#stop = event.#stopNow = event.#running = false;
        return !event.#canceled;
      };
      isEvent = (value) => isObject(value) && #type in value;
      isRunning = (event) => event.#running;
    }
  }
  constants(Event, { NONE: 0, CAPTURING_PHASE: 1, AT_TARGET: 2, BUBBLING_PHASE: 3 });

  class CustomEvent extends Event {
    #detail;
    constructor(type, init) {
      super(...arguments);
      this.#detail = dictionary(init, 'CustomEvent').detail ?? null;
    }
    get detail() { return this.#detail; }
    initCustomEvent(type, bubbles, cancelable, detail = null) {
      super.initEvent(type, bubbles, cancelable);
      this.#detail = detail;
    }
  }

  const flatten = (options) => (isObject(options) ? Boolean(options.capture) : Boolean(options));
  let handlerOf;
  class EventTarget {
    #listeners = new Map();
    #handlers;
    addEventListener(type, callback, options) {
      const all = this.#listeners;
      need(arguments, 2, 'EventTarget.addEventListener');
      if (callback !== null && callback !== undefined && !isObject(callback)) fail('EventTarget.addEventListener: the listener must be a function or an object');
      const capture = flatten(options);
      const { once, passive, signal } = isObject(options) ? options : {};
      if (signal !== undefined && !use('abort').isSignal(signal)) fail('EventTarget.addEventListener: `signal` must be an AbortSignal');
      if (signal?.aborted || callback === null || callback === undefined) return;
      type = `${type}`;
      const list = all.get(type) ?? [];
      if (list.some((other) => other.callback === callback && other.capture === capture)) return;
      list.push({ callback, capture, once: Boolean(once), passive: Boolean(passive), removed: false });
      all.set(type, list);
      if (signal !== undefined) use('abort').whenAborted(signal, () => this.removeEventListener(type, callback, { capture }));
    }
    removeEventListener(type, callback, options) {
      const all = this.#listeners;
      need(arguments, 2, 'EventTarget.removeEventListener');
      type = `${type}`;
      const capture = flatten(options);
      const list = all.get(type);
      const at = list ? list.findIndex((other) => other.callback === callback && other.capture === capture) : -1;
      if (at < 0) return;
      list[at].removed = true;
      list.splice(at, 1);
      if (list.length === 0) all.delete(type);
    }
    dispatchEvent(event) {
      const all = this.#listeners;
      need(arguments, 1, 'EventTarget.dispatchEvent');
      if (!isEvent(event)) fail('EventTarget.dispatchEvent: the argument is not an Event');
      if (isRunning(event)) throw new DOMException('the event is already being dispatched', 'InvalidStateError');
      trusted.delete(event);
      return dispatch(this, event, all.get(event.type) ?? []);
    }
    static {
      handlerOf = {
        fire: (target, event) => dispatch(target, event, target.#listeners.get(event.type) ?? []),
        get: (target, type) => target.#handlers?.get(type)?.handler ?? null,
        set: (target, type, handler) => {
          const handlers = (target.#handlers ??= new Map());
          const old = handlers.get(type);
          if (!isObject(handler)) {
            if (old) { target.removeEventListener(type, old.listener); handlers.delete(type); }
          } else if (old) old.handler = handler;
          else {
            const entry = { handler };
            entry.listener = function (event) {
              if (typeof entry.handler === 'function' && entry.handler.call(this, event) === false) event.preventDefault();
            };
            handlers.set(type, entry);
            target.addEventListener(type, entry.listener);
          }
        },
      };
    }
  }
  expose(Event, CustomEvent, EventTarget);

  // Defines `onTYPE` attributes on the prototype of an event target.
  const handlers = (prototype, ...types) => {
    for (const type of types) {
      defineProperty(prototype, `on${type}`, {
        get() { return handlerOf.get(this, type); },
        set(value) { handlerOf.set(this, type, value); },
        enumerable: true, configurable: true,
      });
    }
  };
  // Dispatches an event that the host, not the skill, made.
  const fire = (target, event) => { trusted.add(event); return handlerOf.fire(target, event); };
  const reportError = function reportError(error) {
    need(arguments, 1, 'reportError');
    report(error);
  };

  return { Event, CustomEvent, EventTarget, reportError, report, handlers, fire, create };
})
