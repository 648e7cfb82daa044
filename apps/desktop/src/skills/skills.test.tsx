import { screen, within } from '@testing-library/react';
import { describe, expect, it } from 'vitest';
import { violationsOf } from '../testing/axe';
import { mockCore } from '../testing/mockCore';
import { type MockSkills, egressWith, mockSkills, permissionsWith, planWith, skillWith } from '../testing/mockSkills';
import { renderWindow } from '../testing/render';
import { CoreError } from '../transport/types';
import { formatBytes } from './EgressTable';
import { addressOf } from './PermissionsSection';
import { objectionsOf, problemsOf } from './fields';

async function openSkills(state: MockSkills, more: Parameters<typeof mockCore>[0] = {}) {
  const core = mockCore({ ...more, calls: { ...mockSkills(state), ...more.calls } });
  const window = await renderWindow(core);
  await window.user.click(screen.getByRole('button', { name: 'Skills' }));
  await screen.findByRole('heading', { name: 'Skills', level: 2 });
  return { core, ...window };
}

async function openSkill(state: MockSkills, name: string, more: Parameters<typeof mockCore>[0] = {}) {
  const window = await openSkills(state, more);
  const list = within(screen.getByRole('main'));
  await window.user.click(await list.findByRole('button', { name: new RegExp(`^${name}`) }));
  await screen.findByRole('heading', { name, level: 2 });
  return window;
}

describe('the list of skills', () => {
  it('shows what each skill is doing and why', async () => {
    const skills = [
      skillWith(),
      skillWith({ skill_id: 'a', name: 'Asleep', condition: 'stopped', enabled: false, awake: false }),
      skillWith({ skill_id: 'm', name: 'Mail', condition: 'needs_setup', reason: 'It has to be set up before it works.' }),
      skillWith({ skill_id: 'q', name: 'Quick', condition: 'quarantined', reason: "Skill 'q' is in quarantine until 10:00" }),
      skillWith({ skill_id: 'e', name: 'Errant', condition: 'error', reason: 'ReferenceError: x is not defined' }),
      skillWith({ skill_id: 'n', name: 'New', allowed: false }),
    ];
    await openSkills({ skills, problems: [{ path: '/skills/torn', error: 'manifest.json is not JSON' }] });
    const main = within(screen.getByRole('main'));
    for (const text of ['Running', 'Stopped', 'Needs set-up', 'Quarantined', 'Failed']) {
      expect((await main.findAllByText(text)).length).toBeGreaterThan(0);
    }
    expect(main.getByText('ReferenceError: x is not defined')).toBeVisible();
    expect(main.getByText(/in quarantine until 10:00/)).toBeVisible();
    expect(main.getByText('It was not allowed what it asks for yet.')).toBeVisible();
    expect(main.getByText('manifest.json is not JSON')).toBeVisible();
    expect(await violationsOf()).toEqual([]);
  });

  it('switches a skill on and off', async () => {
    const state = { skills: [skillWith({ condition: 'stopped', enabled: false, awake: false })] };
    const { core, user } = await openSkills(state);
    const toggle = await screen.findByRole('switch', { name: 'Prices starts with OpenHuman' });
    expect(toggle).not.toBeChecked();
    await user.click(toggle);
    expect(await screen.findByRole('switch', { checked: true })).toBeVisible();
    expect(core.log.find(({ method }) => method === 'openhuman.skills_switch')?.params).toEqual({ skill_id: 'prices', on: true });
    await user.click(screen.getByRole('switch'));
    expect(await screen.findByRole('switch', { checked: false })).toBeVisible();
  });

  it('says why a skill did not start', async () => {
    const refuse = () => {
      throw new CoreError(-32000, "Skill 'prices' init failed: no data");
    };
    const state = { skills: [skillWith({ condition: 'stopped', enabled: false })] };
    const { user } = await openSkills(state, { calls: { 'openhuman.skills_switch': refuse } });
    await user.click(await screen.findByRole('switch'));
    expect(await screen.findByRole('alert')).toHaveTextContent('init failed: no data');
  });

  it('leads to the registry when there is no skill', async () => {
    const { user } = await openSkills({ skills: [], registry: [] });
    await user.click(await screen.findByRole('button', { name: 'Look at the registry' }));
    expect(await screen.findByRole('searchbox', { name: 'Search the registry' })).toBeVisible();
  });
});

describe('the page of a skill', () => {
  it('lets a quarantined skill start again', async () => {
    const state = { skills: [skillWith({ condition: 'quarantined', reason: 'in quarantine until 10:00', awake: false })] };
    const { user } = await openSkill(state, 'Prices');
    await user.click(screen.getByRole('button', { name: 'Start it now' }));
    expect(await screen.findByText('Running')).toBeVisible();
  });

  it('runs the set-up of a skill, with what it objects to at each input', async () => {
    const setup = { required: true, complete: false, label: 'Connect the mailbox', modes: [] };
    const skill = skillWith({ condition: 'needs_setup', reason: 'It has to be set up before it works.', setup });
    const submitted: unknown[] = [];
    const rpc = {
      'setup/start': () => ({
        step: {
          id: 'server',
          title: 'Your server',
          fields: [
            { name: 'url', type: 'text', label: 'Address', required: true },
            { name: 'port', type: 'number', label: 'Port', default: 993 },
            { name: 'tls', type: 'boolean', label: 'Encrypted', default: true },
            { name: 'folder', type: 'select', label: 'Folder', options: [{ label: 'Inbox', value: 'in' }, { label: 'All', value: 7 }] },
          ],
        },
      }),
      'setup/submit': (params: Record<string, unknown>) => {
        submitted.push(params);
        if (submitted.length === 1) return { status: 'error', errors: [{ field: 'url', message: 'This server does not answer.' }] };
        if (submitted.length === 2) {
          return { status: 'next', nextStep: { id: 'login', title: 'Your login', fields: [{ name: 'pass', type: 'password', label: 'Password', required: true }] } };
        }
        skill.condition = 'running';
        return { status: 'complete', message: 'The mailbox is connected.' };
      },
    };
    const { user } = await openSkill({ skills: [skill], rpc }, 'Prices');
    await user.click(screen.getByRole('button', { name: 'Connect the mailbox' }));
    await user.click(await screen.findByRole('button', { name: 'Continue' }));
    expect(screen.getByRole('alert')).toHaveTextContent('Address is missing.');
    expect(submitted).toEqual([]);
    await user.type(screen.getByLabelText('Address'), 'mail.example');
    await user.selectOptions(screen.getByLabelText(/Folder/), 'All');
    expect(await violationsOf()).toEqual([]);
    await user.click(screen.getByRole('button', { name: 'Continue' }));
    expect(await screen.findByText('This server does not answer.')).toBeVisible();
    expect(screen.getByLabelText('Address')).toBeInvalid();
    await user.click(screen.getByRole('button', { name: 'Continue' }));
    const password = await screen.findByLabelText('Password');
    expect(password).toHaveAttribute('type', 'password');
    await user.type(password, 's3cret');
    await user.click(screen.getByRole('button', { name: 'Continue' }));
    expect(await screen.findByText('The mailbox is connected.')).toBeVisible();
    expect(submitted[1]).toEqual({ stepId: 'server', values: { url: 'mail.example', port: 993, tls: true, folder: 7 } });
    expect(submitted[2]).toEqual({ stepId: 'login', values: { pass: 's3cret' } });
  });

  it('connects an account in each of its ways', async () => {
    const modes = [
      { mode: 'text' as const, label: 'Paste a token', description: null, provider: null, fields: [], text_description: 'From the settings', text_placeholder: null },
      { mode: 'managed' as const, label: 'Through your server', description: null, provider: 'notion', fields: [], text_description: null, text_placeholder: null },
    ];
    const skill = skillWith({ condition: 'needs_setup', connection_status: 'not_authenticated', setup: { required: true, complete: false, label: null, modes } });
    const given: unknown[] = [];
    const rpc = {
      'auth/complete': (params: Record<string, unknown>) => {
        given.push(params);
        return given.length === 1 ? { status: 'error', errors: [{ field: 'content', message: 'This token is not valid.' }] } : { status: 'complete' };
      },
    };
    const { user, store } = await openSkill({ skills: [skill], rpc }, 'Prices');
    await user.type(screen.getByLabelText('Token'), 't0ken');
    await user.click(screen.getByRole('button', { name: 'Connect the account' }));
    expect(await screen.findByText('This token is not valid.')).toBeVisible();
    await user.click(screen.getByRole('button', { name: 'Connect the account' }));
    expect(await screen.findByText('The account is connected.')).toBeVisible();
    expect(given).toEqual([1, 2].map(() => ({ mode: 'text', credentials: { content: 't0ken' } })));
    expect(JSON.stringify(store.getState())).not.toContain('t0ken');
    await user.selectOptions(screen.getByLabelText('How to connect'), 'Through your server');
    expect(screen.getByText(/This way needs a server/)).toBeVisible();
    expect(await violationsOf()).toEqual([]);
  });

  it('shows what a skill may do, and gives and takes it', async () => {
    const permissions = permissionsWith({
      allowed: false,
      changed: true,
      wishes: [{ kind: 'host', what: 'a.example', text: 'reach a.example', granted: false }],
      wanted: [{ kind: 'host', what: 'cdn.example', host: true }],
    });
    const { core, user } = await openSkill({ skills: [skillWith({ allowed: false })], permissions }, 'Prices');
    expect(await screen.findByText(/changed since you allowed it/)).toBeVisible();
    expect(await violationsOf()).toEqual([]);
    await user.click(screen.getByRole('button', { name: 'Allow this' }));
    expect(await screen.findByText('allowed')).toBeVisible();
    expect(core.log.find(({ method }) => method === 'openhuman.skills_allow')?.params.digest).toBe(permissions.digest);
    await user.click(screen.getByRole('button', { name: 'Allow cdn.example' }));
    const added = await screen.findByRole('list', { name: 'Added hosts' });
    expect(added).toHaveTextContent('cdn.example');
    await user.click(screen.getByRole('button', { name: 'Allow another host' }));
    await user.type(screen.getByLabelText(/Host, or address/), '127.0.0.1:8080{Enter}');
    expect(await screen.findByText('127.0.0.1:8080')).toBeVisible();
    const last = core.log.filter(({ method }) => method === 'openhuman.skills_allow_host').at(-1);
    expect(last?.params).toEqual({ skill_id: 'prices', host: '127.0.0.1', port: 8080 });
    await user.click(screen.getByRole('button', { name: 'Take cdn.example back' }));
    expect(added).not.toHaveTextContent('cdn.example');
    await user.click(screen.getByRole('button', { name: 'Take it all back' }));
    expect(await screen.findByText('not allowed')).toBeVisible();
  });

  it('shows and sets the options of a running skill', async () => {
    const options = [
      { name: 'loud', type: 'boolean', label: 'Loud', value: false },
      { name: 'unit', type: 'select', label: 'Unit', value: 'usd', options: [{ label: 'Dollar', value: 'usd' }, { label: 'Euro', value: 'eur' }] },
      { name: 'limit', type: 'number', label: 'Limit', value: 5 },
    ];
    const rpc = {
      'options/set': ({ name, value }: Record<string, unknown>) => {
        Object.assign(options.find((option) => option.name === name) ?? {}, { value });
        return { ok: true };
      },
    };
    const { user } = await openSkill({ skills: [skillWith()], options, rpc }, 'Prices');
    await user.click(await screen.findByLabelText('Loud'));
    expect(await screen.findByLabelText('Loud')).toBeChecked();
    await user.selectOptions(screen.getByLabelText('Unit'), 'Euro');
    await user.clear(screen.getByLabelText('Limit'));
    await user.type(screen.getByLabelText('Limit'), '9{Enter}');
    await screen.findByDisplayValue('9');
    expect(options.map(({ value }) => value)).toEqual([true, 'eur', 9]);
    expect(await violationsOf()).toEqual([]);
  });

  it('removes a skill after asking what becomes of its data', async () => {
    const state = { skills: [skillWith()] };
    const { core, user } = await openSkill(state, 'Prices');
    await user.click(screen.getByRole('button', { name: 'Remove Prices…' }));
    await user.click(screen.getByLabelText('Also delete its own data'));
    expect(await violationsOf()).toEqual([]);
    await user.click(screen.getByRole('button', { name: 'Remove it' }));
    expect(await screen.findByText('No skills yet')).toBeVisible();
    const removed = core.log.find(({ method }) => method === 'openhuman.skills_uninstall');
    expect(removed?.params).toEqual({ skill_id: 'prices', keep_documents: false, forget_data: true });
  });

  it('offers no removal for a skill from a folder of the user', async () => {
    const origin = { installed: false, source: null, key: null };
    await openSkill({ skills: [skillWith({ origin })] }, 'Prices');
    expect(screen.getByText(/from a folder of your own/)).toBeVisible();
    expect(screen.queryByRole('button', { name: /Remove Prices/ })).toBeNull();
  });
});

describe('what was sent', () => {
  it('lists host, bytes, secret and tool call, and what was refused', async () => {
    const egress = [
      egressWith({ secrets: ['mail/token'], bytes_out: 812 }),
      egressWith({ host: 'evil.example', result: 'refused', detail: 'evil.example is not allowed', bytes_in: 0 }),
    ];
    const { user } = await openSkills({ skills: [skillWith()], egress });
    await user.click(screen.getByRole('button', { name: 'What was sent' }));
    const table = await screen.findByRole('table');
    expect(table).toHaveTextContent('api.prices.example');
    expect(table).toHaveTextContent('with mail/token');
    expect(table).toHaveTextContent('tool get_price');
    expect(table).toHaveTextContent('812 B');
    expect(table).toHaveTextContent('5.2 kB');
    expect(await violationsOf()).toEqual([]);
    await user.click(screen.getByLabelText('Only what was refused'));
    await screen.findByText('evil.example is not allowed');
    expect(screen.getByRole('table')).not.toHaveTextContent('api.prices.example');
  });
});

describe('the registry', () => {
  const offer = { id: 'notion', name: 'Notion', version: '1.2.0', description: 'Pages and databases.', installed: false, update_available: false };

  it('installs a skill with the consent to what was shown', async () => {
    const state: MockSkills = { skills: [], registry: [offer] };
    const { core, user } = await openSkills(state);
    await user.click(screen.getByRole('button', { name: 'Registry' }));
    await user.click(await screen.findByRole('button', { name: 'Install… Notion' }));
    expect(await screen.findByText('reach api.notion.com')).toBeVisible();
    expect(screen.getByText(/is not signed/)).toBeVisible();
    expect(await violationsOf()).toEqual([]);
    await user.click(screen.getByRole('button', { name: 'Allow and install' }));
    expect(await screen.findByRole('heading', { name: 'Notion', level: 2 })).toBeVisible();
    const installed = core.log.find(({ method }) => method === 'openhuman.skills_install');
    expect(installed?.params).toEqual({ skill_id: 'notion', consent: 'e'.repeat(64) });
  });

  it('shows what an update changes, and takes another key only after it was compared', async () => {
    const plan = planWith({
      installed: true, installed_version: '1.1.0', publisher: 'key_change', key: 'aaaa-bbbb', adds: ['show notifications'],
      removes: ['add to the memory'], publisher_text: 'The package is signed with the key aaaa-bbbb instead of cccc-dddd.',
    });
    const registry = [{ ...offer, installed: true, installed_version: '1.1.0', update_available: true }];
    const { core, user } = await openSkills({ skills: [], registry, plan });
    await user.click(screen.getByRole('button', { name: 'Registry' }));
    await user.click(await screen.findByRole('button', { name: 'Update… Notion' }));
    expect(await screen.findByText('Update Notion from 1.1.0 to 1.2.0')).toBeVisible();
    expect(screen.getByText('show notifications')).toBeVisible();
    const button = screen.getByRole('button', { name: 'Allow and update' });
    expect(button).toBeDisabled();
    await user.click(screen.getByRole('checkbox', { name: /publisher announced the new key/ }));
    await user.click(button);
    await screen.findByRole('heading', { name: 'Notion', level: 2 });
    const installed = core.log.find(({ method }) => method === 'openhuman.skills_install');
    expect(installed?.params).toEqual({ skill_id: 'notion', consent: plan.digest, accept_key: 'aaaa-bbbb' });
  });

  it('does not offer to install what must not be installed', async () => {
    const plan = planWith({ publisher: 'refused', publisher_text: 'The package cannot be installed: the download was changed.' });
    const { user } = await openSkills({ skills: [], registry: [offer], plan });
    await user.click(screen.getByRole('button', { name: 'Registry' }));
    await user.click(await screen.findByRole('button', { name: 'Install… Notion' }));
    expect(await screen.findByText(/the download was changed/)).toBeVisible();
    expect(screen.queryByRole('button', { name: /install$/i })).toBeNull();
  });
});

describe('small things', () => {
  it('tells a host from an address with a port', () => {
    expect(addressOf('api.example.com')).toEqual({ host: 'api.example.com', port: null });
    expect(addressOf(' [::1]:80 ')).toEqual({ host: '[::1]', port: 80 });
  });

  it('writes bytes for people', () => {
    expect([0, 999, 1000, 9_999, 10_000, 2_500_000].map(formatBytes)).toEqual(['0 B', '999 B', '1.0 kB', '10.0 kB', '10 kB', '2.5 MB']);
  });

  it('finds what is missing and whom an objection is for', () => {
    const inputs = [{ name: 'a', required: true }, { name: 'b', type: 'number' }];
    expect(problemsOf(inputs, { b: Number.NaN })).toEqual({ a: 'a is missing.', b: 'b must be a number.' });
    expect(objectionsOf({ errors: [{ field: 'a', message: 'no' }, { message: 'why' }] }, inputs)).toEqual({ fields: { a: 'no' }, general: 'why' });
    expect(objectionsOf({}, inputs).general).toBe('The skill refused and gave no reason.');
  });
});
