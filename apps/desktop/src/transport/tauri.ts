import { Channel, invoke } from '@tauri-apps/api/core';
import { type CoreEvent, type Transport, toCoreError } from './types';

/**
 * What the shell sends through a channel. The end travels in the channel too: the answer of a command may
 * overtake the channel's last messages.
 */
type Frame = { frame: 'event'; event: CoreEvent } | { frame: 'end' };

/** Talks to the core inside the desktop process, over Tauri's IPC. */
export class TauriTransport implements Transport {
  readonly kind = 'tauri';

  async call<T>(method: string, params: Record<string, unknown> = {}): Promise<T> {
    try {
      return await invoke<T>('core_rpc', { method, params });
    } catch (thrown) {
      throw toCoreError(thrown);
    }
  }

  async stream(
    method: string,
    params: Record<string, unknown>,
    onEvent: (event: CoreEvent) => void,
  ): Promise<void> {
    const channel = new Channel<Frame>();
    const ended = new Promise<void>((resolve) => {
      channel.onmessage = (message) => {
        if (message.frame === 'end') resolve();
        else onEvent(message.event);
      };
    });
    try {
      await invoke('core_stream', { method, params, onEvent: channel });
    } catch (thrown) {
      throw toCoreError(thrown);
    }
    await ended;
  }

  async subscribe(onEvent: (event: CoreEvent) => void): Promise<() => void> {
    const channel = new Channel<Frame>();
    let listening = true;
    channel.onmessage = (message) => {
      if (listening && message.frame === 'event') onEvent(message.event);
    };
    try {
      await invoke('core_subscribe', { onEvent: channel });
    } catch (thrown) {
      throw toCoreError(thrown);
    }
    return () => {
      listening = false;
    };
  }
}

/** Tells the shell that the first frame is on the screen; it logs the time since the process started. */
export function reportPainted(): void {
  requestAnimationFrame(() => {
    requestAnimationFrame(() => {
      // Only a measurement: the window works without it.
      invoke('painted').catch(() => undefined);
    });
  });
}
