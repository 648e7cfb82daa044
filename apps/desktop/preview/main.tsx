// Shows one screen with a core in memory: `npm run dev`, then open /preview/?scene=answer. Not part of the app.
import { createRoot } from 'react-dom/client';
import { Root } from '../src/Root';
import { createSession } from '../src/core/session';
import { sendPrompt } from '../src/core/turn';
import { createStore } from '../src/state/store';
import { viewOpened } from '../src/state/view';
import '../src/styles.css';
import { scenes } from './scenes';

const name = new URLSearchParams(location.search).get('scene') ?? 'answer';
const scene = scenes[name];
const container = document.getElementById('root');
if (!scene || !container) throw new Error(`There is no scene "${name}": ${Object.keys(scenes).join(', ')}`);

const transport = scene.core();
const store = createStore(transport);
const session = createSession(store, transport);
createRoot(container).render(<Root store={store} core={{ transport, session }} />);
if (!scene.starting) await session.start();
const soon = () => new Promise((resolve) => setTimeout(resolve, 400));
if (scene.view) store.dispatch(viewOpened(scene.view));
if (scene.types) {
  await soon();
  // As a person types: the same text into every passphrase.
  for (const input of document.querySelectorAll<HTMLInputElement>('input[type=password]')) input.value = scene.types;
}
for (const text of scene.clicks ?? []) {
  await soon();
  const buttons = [...document.querySelectorAll('main button, form button')];
  buttons.find((button) => button.textContent === text)?.dispatchEvent(new MouseEvent('click', { bubbles: true, cancelable: true }));
}
for (const prompt of scene.prompts ?? []) {
  void store.dispatch(sendPrompt(store.getState().chat.activeId, prompt));
  await new Promise((resolve) => setTimeout(resolve, 120));
}
