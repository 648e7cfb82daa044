// FormData, after the XHR standard, and multipart/form-data both ways.
(function (op, use) {
  'use strict';
  const { fail, need, usv, concat, expose, iterable } = use('idl');
  const { File, contents } = use('blob');

  let listOf;
  const entry = (args, what) => {
    need(args, 2, what);
    const name = usv(args[0]);
    const bytes = contents(args[1]);
    if (!bytes) return args.length > 2 && args[2] !== undefined ? fail(`${what}: only a Blob has a file name`) : [name, usv(args[1])];
    const blob = args[1];
    if (blob instanceof File && args[2] === undefined) return [name, blob];
    const options = { type: blob.type, lastModified: blob.lastModified };
    return [name, new File([blob], args[2] === undefined ? 'blob' : usv(args[2]), options)];
  };
  class FormData {
    #list = [];
    constructor(form) { if (form !== undefined) fail('FormData: there are no forms here'); }
    append() { this.#list.push(entry(arguments, 'FormData.append')); }
    set() {
      const list = this.#list;
      const pair = entry(arguments, 'FormData.set');
      const at = list.findIndex((other) => other[0] === pair[0]);
      if (at < 0) list.push(pair);
      else this.#list = list.filter((other, index) => index <= at || other[0] !== pair[0]).with(at, pair);
    }
    delete(name) {
      const list = this.#list;
      need(arguments, 1, 'FormData.delete');
      name = usv(name);
      this.#list = list.filter((pair) => pair[0] !== name);
    }
    get(name) {
      const list = this.#list;
      need(arguments, 1, 'FormData.get');
      name = usv(name);
      return list.find((pair) => pair[0] === name)?.[1] ?? null;
    }
    getAll(name) {
      const list = this.#list;
      need(arguments, 1, 'FormData.getAll');
      name = usv(name);
      return list.filter((pair) => pair[0] === name).map((pair) => pair[1]);
    }
    has(name) {
      const list = this.#list;
      need(arguments, 1, 'FormData.has');
      name = usv(name);
      return list.some((pair) => pair[0] === name);
    }
    static { listOf = (form) => form.#list; }
  }
  iterable(FormData, listOf);
  expose(FormData);

  const random = op('crypto.random');
  const boundaryOf = () => `----formdata-${random(12).toHex()}`;
  const lines = (text) => text.replace(/\r\n?|\n/g, '\r\n');
  const quoted = (text) => text.replace(/\n/g, '%0A').replace(/\r/g, '%0D').replace(/"/g, '%22');
  const encode = (form, boundary) => {
    const { encode: utf8 } = use('encoding');
    const parts = [];
    for (const [name, value] of listOf(form)) {
      const head = `--${boundary}\r\nContent-Disposition: form-data; name="${quoted(lines(name))}"`;
      if (typeof value === 'string') parts.push(utf8(`${head}\r\n\r\n${lines(value)}\r\n`));
      else {
        parts.push(utf8(`${head}; filename="${quoted(value.name)}"\r\nContent-Type: ${value.type || 'application/octet-stream'}\r\n\r\n`));
        parts.push(contents(value), utf8('\r\n'));
      }
    }
    parts.push(utf8(`--${boundary}--\r\n`));
    return concat(parts);
  };

  // Reading works on a binary string: one character for each byte, so that the engine's own search is used.
  const binary = op('encoding.binary');
  const parse = (bytes, boundary) => {
    const { utf8, encode: bytesOfText } = use('encoding');
    const text = binary(bytes);
    const mark = `--${binary(bytesOfText(boundary))}`;
    const form = new FormData();
    const broken = () => fail('the body is not multipart/form-data');
    const decode = (from, to) => utf8(bytes.subarray(from, to));
    let at = text.indexOf(mark);
    if (at < 0 || (at > 0 && text.slice(0, at).trim() !== '')) broken();
    for (;;) {
      at += mark.length;
      if (text.startsWith('--', at)) return form;
      if (!text.startsWith('\r\n', at)) broken();
      const headEnd = text.indexOf('\r\n\r\n', at);
      if (headEnd < 0) broken();
      const end = text.indexOf(`\r\n${mark}`, headEnd + 2);
      if (end < 0) broken();
      let name, filename, type;
      for (const line of decode(at + 2, headEnd).split('\r\n')) {
        const colon = line.indexOf(':');
        const header = line.slice(0, colon).trim().toLowerCase();
        const value = line.slice(colon + 1).trim();
        if (header === 'content-type') type = value;
        if (header !== 'content-disposition') continue;
        if (!/^form-data\s*;/i.test(value)) broken();
        const field = (key) => {
          const found = new RegExp(`;\\s*${key}=(?:"([^"]*)"|([^;\\s]*))`, 'i').exec(value);
          return found ? (found[1] ?? found[2]).replace(/%0A/gi, '\n').replace(/%0D/gi, '\r').replace(/%22/g, '"') : undefined;
        };
        name = field('name');
        filename = field('filename');
      }
      if (name === undefined) broken();
      const from = Math.min(headEnd + 4, end);
      if (filename === undefined) form.append(name, decode(from, end));
      else form.append(name, new File([bytes.subarray(from, end)], filename, { type: type ?? 'text/plain' }));
      at = end + 2;
    }
  };

  return { FormData, encode, parse, boundaryOf, isForm: (value) => { try { return Boolean(listOf(value)); } catch { return false; } } };
})
