import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

// What the window is allowed to do is a decision: these tests fail when it changes, so that somebody looks.

const shell = join(import.meta.dirname, '..', 'src-tauri');
const read = (...path: string[]) => readFileSync(join(shell, ...path), 'utf8');
const json = (...path: string[]) => JSON.parse(read(...path)) as Record<string, unknown>;

interface Config {
  app: {
    withGlobalTauri: boolean;
    windows: { label: string }[];
    security: { capabilities: string[]; freezePrototype: boolean; csp: string; [key: string]: unknown };
  };
  plugins?: unknown;
}

const config = json('tauri.conf.json') as unknown as Config;

describe('the capabilities', () => {
  it('are one file for the one window', () => {
    expect(readdirSync(join(shell, 'capabilities'))).toEqual(['main.json']);
    expect(config.app.windows.map(({ label }) => label)).toEqual(['main']);
    expect(config.app.security.capabilities).toEqual(['main']);
  });

  it('are exactly these permissions, for local pages only', () => {
    expect(json('capabilities', 'main.json')).toEqual({
      $schema: expect.any(String) as string,
      description: expect.any(String) as string,
      identifier: 'main',
      local: true,
      windows: ['main'],
      permissions: ['allow-core-rpc', 'allow-core-stream', 'allow-core-subscribe', 'allow-painted'],
    });
  });

  it('name every command of the shell and no other', () => {
    const declared = /const COMMANDS: &\[&str\] = &\[([^\]]*)\]/.exec(read('build.rs'))?.[1];
    const handled = /generate_handler!\[([^\]]*)\]/.exec(read('src', 'main.rs'))?.[1];
    const commands = ['core_rpc', 'core_stream', 'core_subscribe', 'painted'];
    expect([...(declared ?? '').matchAll(/"(\w+)"/g)].map((match) => match[1])).toEqual(commands);
    expect([...(handled ?? '').matchAll(/commands::(\w+)/g)].map((match) => match[1])).toEqual(commands);
  });
});

describe('the window', () => {
  it('has a content security policy without a network', () => {
    const policy = Object.fromEntries(
      config.app.security.csp.split('; ').map((rule) => {
        const [directive = '', ...values] = rule.split(' ');
        return [directive, values];
      }),
    );
    expect(policy).toEqual({
      'default-src': ["'self'"],
      'script-src': ["'self'"],
      'style-src': ["'self'"],
      'img-src': ["'self'", 'data:'],
      'font-src': ["'self'"],
      'connect-src': ['ipc:', 'http://ipc.localhost'],
      'object-src': ["'none'"],
      'base-uri': ["'none'"],
      'frame-ancestors': ["'none'"],
      'form-action': ["'none'"],
    });
  });

  it('has no global API, a frozen prototype and no exceptions', () => {
    expect(config.app.withGlobalTauri).toBe(false);
    expect(config.app.security.freezePrototype).toBe(true);
    expect(Object.keys(config.app.security).sort()).toEqual(['capabilities', 'csp', 'devCsp', 'freezePrototype']);
    // Only what the packages tell the system: which links are ours.
    expect(config.plugins).toEqual({ 'deep-link': { desktop: { schemes: ['openhuman'] } } });
  });
});

describe('the sources of the window', () => {
  const files = readdirSync(import.meta.dirname, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.tsx?$/.test(name) && !name.includes('.test.'))
    .map((name) => ({ name, text: readFileSync(join(import.meta.dirname, name), 'utf8') }));

  it('call exactly the methods that the shell lets through', () => {
    const called = files
      .filter(({ name }) => name.startsWith('core'))
      .flatMap(({ text }) => [...text.matchAll(/'((?:openhuman|core)\.\w+)'/g)].map((match) => match[1]));
    const door = read('src', 'door.rs');
    const allowed = [...door.slice(0, door.indexOf('mod tests')).matchAll(/"((?:openhuman|core)\.\w+)"/g)].map(
      (match) => match[1],
    );
    expect([...new Set(called)].sort()).toEqual([...new Set(allowed)].sort());
  });

  it('use the desktop API only behind the transport', () => {
    const users = files.filter(({ text }) => text.includes('@tauri-apps/')).map(({ name }) => name);
    expect(users).toEqual([join('transport', 'tauri.ts')]);
  });

  it('use no web storage and write no HTML', () => {
    for (const { name, text } of files) {
      expect(text, name).not.toMatch(/localStorage|sessionStorage|indexedDB|document\.cookie/);
      expect(text, name).not.toMatch(/dangerouslySetInnerHTML|innerHTML|rehype-raw/);
    }
  });
});
