// Made from the typed table of crates/openhuman/src/rpc by its test `the_client_of_the_desktop_is_up_to_date`.
// Do not edit: `OPENHUMAN_WRITE_TYPESCRIPT=1 cargo test -p openhuman --test it schema` writes it again.

import type { Transport } from '../transport/types';

/** What became of a note. */
export interface Added {
  chunks: number;
  document_id: string;
}

export interface Cancelled {
  /** Whether a turn was running. */
  cancelled: boolean;
}

/** One choice. */
export interface ChoiceOverview {
  /** What the user sees. */
  label: string;
  /** What the skill gets. */
  value: unknown;
}

export interface Done {
  ok: boolean;
}

/** One attempt to reach a host. It holds no secret, no body and no query. */
export interface EgressEntry {
  /** Bytes that came. */
  bytes_in: number;
  /** Bytes that left. */
  bytes_out: number;
  /** What it was for: `tool get_price`, `hook onCronTrigger`, `timer` or `background`. */
  cause: string;
  /** The status, the reason or the code. */
  detail: string;
  /** How long it took. */
  duration_ms: number;
  /** The host. */
  host: string;
  /** The method. */
  method: string;
  /** The path, without the query. */
  path: string;
  /** The port. */
  port: number;
  /** How it went. */
  result: EgressResult;
  /** `http`, `https`, `ws` or `wss`. */
  scheme: string;
  /** The names of the secrets that were inside. */
  secrets: string[];
  /** The skill. */
  skill_id: string;
  /** When it began, in milliseconds since 1970. */
  time_ms: number;
}

/** How an attempt went. */
export type EgressResult = 'answered' | 'refused' | 'failed' | 'aborted' | 'open' | 'closed';

/** What left, the newest first. */
export interface EgressView {
  /** The records. */
  records: EgressEntry[];
}

/** One input. */
export interface FieldOverview {
  /** Its value before the user changes it. */
  default: unknown;
  /** A sentence about it. */
  description: string | null;
  /** Its label. */
  label: string;
  /** Under which name its value is handed over. */
  name: string;
  /** The choices. */
  options: ChoiceOverview[];
  /** Its placeholder. */
  placeholder: string | null;
  /** Whether it must be filled in. */
  required: boolean;
  /** `text`, `number`, `password`, `select`, `multiselect`, `boolean`, `textarea`, or a kind of a later host. */
  type: string;
}

/** What was installed. */
export interface Installed {
  /** Whether it starts with OpenHuman. */
  enabled: boolean;
  /** The skill. */
  installed: string;
  /** Its version. */
  version: string | null;
}

/** The backends that need no new login. */
export interface KeptSessions {
  backends: string[];
}

/** What a link has done so far, over all of its connections. */
export interface LinkReport {
  /** The backend's address. */
  backend: string;
  /** Bytes received. */
  bytes_received: number;
  /** Bytes sent. */
  bytes_sent: number;
  /** Connections that were made: the first one and those that repaired it. */
  connections: number;
  /** Frames received, heartbeats included, and the bytes in them. */
  frames_received: number;
  /** Frames sent, heartbeats included. */
  frames_sent: number;
  /** Why the last connection ended, with the error behind it where there is one. */
  last_disconnect: string | null;
  /** Events of the backend that were dropped because this side did not keep up. */
  lost_events: number;
  /** How many of them were for skills only: their queue was full, and nothing else waits for it. */
  lost_skill_events: number;
  /** Answers of the backend that are awaited. */
  pending_acks: number;
  /** Events that wait to be sent. */
  waiting: number;
}

export interface LoggedOut {
  /** Whether a session was kept. */
  was_logged_in: boolean;
}

export interface LoginCancelled {
  ok: boolean;
}

/** A login that was begun. */
export interface LoginStarted {
  /** What the login page has to be opened with. */
  challenge: string;
  /** How long the link that comes back is taken, in milliseconds. */
  valid_ms: number;
}

/** The ways there are. */
export type ModeKind = 'managed' | 'self_hosted' | 'text';

/** One way to connect an account. */
export interface ModeOverview {
  /** A sentence about it. */
  description: string | null;
  /** What the user fills in. */
  fields: FieldOverview[];
  /** Its label. */
  label: string | null;
  /** Which way. */
  mode: ModeKind;
  /** Whose account, for a managed connection. */
  provider: string | null;
  /** What the pasted text is. */
  text_description: string | null;
  /** The placeholder of the input for it. */
  text_placeholder: string | null;
}

/** A recovery key, to be shown once. */
export interface NewRecoveryKey {
  /** 36 characters in nine groups. */
  recovery_key: string;
  /** Whether an earlier one opens nothing any more. */
  replaced: boolean;
}

/** Where the user connects an account. */
export interface OAuthStarted {
  /** To be opened in a browser. */
  url: string;
}

/** Where a package came from, and who made it. */
export interface Origin {
  /** Whether it was installed from a registry or an archive: then it can be updated and removed. */
  installed: boolean;
  /** The fingerprint of the key that signed it. */
  key: string | null;
  /** Where from, for people. */
  source: string | null;
}

/** A package that cannot be loaded. */
export interface PackageProblem {
  /** Why. */
  error: string;
  /** Its directory. */
  path: string;
}

/** What a skill may do. */
export interface PermissionsView {
  /** Whether the user consented to this very package. */
  allowed: boolean;
  /** Whether there was a consent to another version, which does not hold any more. */
  changed: boolean;
  /** Whether the package says what it needs; one from before permissions existed does not. */
  declared: boolean;
  /** The package it is about, for a consent. */
  digest: string;
  /** Public hosts that the user added. */
  hosts: string[];
  /** Addresses of this machine or network that the user added, as `host:port`. */
  private: string[];
  /** What it was refused since the start, the newest first. */
  wanted: Wanted[];
  /** What it asks for. */
  wishes: Wish[];
}

/** What installing or updating a skill means, for the user to decide. */
export interface PlanView {
  /** What it may do that the installed version may not; of a new skill everything it asks for. */
  adds: string[];
  /** To be given back as `consent`. */
  digest: string;
  /** Whether it is installed. */
  installed: boolean;
  /** The version that is installed. */
  installed_version: string | null;
  /** The fingerprint of the key that signed the offer. */
  key: string | null;
  /** Its name for people. */
  name: string;
  /** Whether the user has to agree. */
  needs_consent: boolean;
  /** Whether the offer is older than what is installed. */
  older: boolean;
  /** Who made it. */
  publisher: PublisherChange;
  /** The same in a sentence. */
  publisher_text: string;
  /** What it may not do any more. */
  removes: string[];
  /** The skill. */
  skill_id: string;
  /** The version on offer. */
  version: string | null;
}

/** Who made a package, compared with what is installed. */
export type PublisherChange = 'known' | 'first_use' | 'key_change' | 'unsigned' | 'refused';

/** How a skill is set up. */
export interface SetupOverview {
  /** Whether it is done, or none is required. */
  complete: boolean;
  /** What the button says. */
  label: string | null;
  /** The ways to connect an account. */
  modes: ModeOverview[];
  /** Whether it is of no use before. */
  required: boolean;
}

/** What a skill is doing, in one word. */
export type SkillCondition = 'stopped' | 'starting' | 'running' | 'stopping' | 'needs_setup' | 'quarantined' | 'error';

/** One skill. */
export interface SkillOverview {
  /** Whether the user consented to this very package. */
  allowed: boolean;
  /** Whether it asks for anything that needs a consent. */
  asks: boolean;
  /** Whether it runs, and so can be set up and asked for its options. */
  awake: boolean;
  /** What it is doing. */
  condition: SkillCondition;
  /** How its account is, in the word it publishes. */
  connection_status: string;
  /** What it does, as its author says. */
  description: string | null;
  /** Whether it starts with OpenHuman. */
  enabled: boolean;
  /** Its name for people. */
  name: string;
  /** How it came here. */
  origin: Origin;
  /** When its quarantine ends, in milliseconds since 1970, while it is in one. */
  quarantined_until_ms: number | null;
  /** Why, where there is a reason. */
  reason: string | null;
  /** Its set-up and its accounts. */
  setup: SetupOverview;
  /** Its id. */
  skill_id: string;
  /** Its tools. */
  tools: ToolOverview[];
  /** The version of its package. */
  version: string | null;
}

/** All skills of a home. */
export interface SkillsOverview {
  /** Packages that cannot be loaded at all. */
  problems: PackageProblem[];
  /** The skills, by id. */
  skills: SkillOverview[];
}

/** The figures of the link, where there is one. */
export interface SocketFigures {
  link: LinkReport | null;
}

/** A tool of a skill. */
export interface ToolOverview {
  /** What it does. */
  description: string;
  /** Its bare name. */
  name: string;
}

/** What was removed. */
export interface Uninstalled {
  /** Whether its own data was deleted. */
  data: boolean;
  /** How many documents were forgotten. */
  documents: number;
  /** Whether it was installed. */
  removed: boolean;
}

/** The vault of a home. */
export interface VaultStatus {
  /** Whether its keys are kept out of core dumps. */
  excluded_from_dumps: boolean;
  /** Whether there is one. */
  exists: boolean;
  /** Whether its keys are kept out of swap. */
  memory_locked: boolean;
  /** Whether it is open. */
  open: boolean;
  /** How long the next passphrase has to wait after too many wrong ones, in milliseconds; 0 when it need not. */
  waiting_ms: number;
}

/** Something that a running skill was refused. */
export interface Wanted {
  /** Whether it can be allowed as a host. */
  host: boolean;
  /** The kind, as in the manifest. */
  kind: string;
  /** What it is about, for example a host. */
  what: string;
}

/** One thing that a skill asks for. */
export interface Wish {
  /** Whether it may do so now. */
  granted: boolean;
  /** The kind, as in the manifest. */
  kind: string;
  /** A line for people, such as `reach api.example.com`. */
  text: string;
  /** What it is about; empty when the kind says it all. */
  what: string;
}

export function vaultCreate(transport: Transport, params: {
  password: string;
  /** Also make a recovery key, and answer with it under `recovery_key`. */
  recovery_key?: boolean;
}): Promise<unknown> {
  return transport.call('openhuman.vault_create', params);
}

export function vaultUnlock(transport: Transport, params: {
  password: string;
}): Promise<unknown> {
  return transport.call('openhuman.vault_unlock', params);
}

export function vaultRecover(transport: Transport, params: {
  new_password: string;
  recovery_key: string;
}): Promise<unknown> {
  return transport.call('openhuman.vault_recover', params);
}

export function vaultChangePassword(transport: Transport, params: {
  new_password: string;
  password: string;
}): Promise<Done> {
  return transport.call('openhuman.vault_change_password', params);
}

export function vaultCreateRecoveryKey(transport: Transport, params: {
  password: string;
}): Promise<NewRecoveryKey> {
  return transport.call('openhuman.vault_create_recovery_key', params);
}

export function vaultStatus(transport: Transport): Promise<VaultStatus> {
  return transport.call('openhuman.vault_status');
}

export function vaultAccept(transport: Transport, params: {
  /** The database that an error named; without it every one, and the notes about them are begun anew. */
  database?: string | null;
  password: string;
}): Promise<Done> {
  return transport.call('openhuman.vault_accept', params);
}

export function vaultDiscardLog(transport: Transport, params: {
  /** The database that an error named. */
  database: string;
  password: string;
}): Promise<Done> {
  return transport.call('openhuman.vault_discard_log', params);
}

export function socketConnect(transport: Transport, params: {
  /** Works once. Without a token the session that is kept from an earlier login is used. */
  login_token?: string | null;
  session_token?: string | null;
  url: string;
}): Promise<unknown> {
  return transport.call('openhuman.socket_connect', params);
}

export function socketReport(transport: Transport): Promise<SocketFigures> {
  return transport.call('openhuman.socket_report');
}

export function authSessions(transport: Transport): Promise<KeptSessions> {
  return transport.call('openhuman.auth_sessions');
}

export function authLogout(transport: Transport, params: {
  /** The address of the backend. */
  url: string;
}): Promise<LoggedOut> {
  return transport.call('openhuman.auth_logout', params);
}

export function authLoginStart(transport: Transport, params: {
  /** The address of the backend. */
  url: string;
}): Promise<LoginStarted> {
  return transport.call('openhuman.auth_login_start', params);
}

export function authLoginCancel(transport: Transport): Promise<LoginCancelled> {
  return transport.call('openhuman.auth_login_cancel');
}

export function authLoginFinish(transport: Transport, params: {
  /** `openhuman://auth?token=..` */
  link: string;
}): Promise<unknown> {
  return transport.call('openhuman.auth_login_finish', params);
}

export function authOauthConnect(transport: Transport, params: {
  provider: string;
  skill_id: string;
}): Promise<OAuthStarted> {
  return transport.call('openhuman.auth_oauth_connect', params);
}

export function authOauthFinish(transport: Transport, params: {
  /** `openhuman://oauth/success?integrationId=..&skillId=..` */
  link: string;
}): Promise<unknown> {
  return transport.call('openhuman.auth_oauth_finish', params);
}

export function skillsOverview(transport: Transport): Promise<SkillsOverview> {
  return transport.call('openhuman.skills_overview');
}

export function skillsSwitch(transport: Transport, params: {
  /** On starts it now and with OpenHuman; off stops it and leaves it off. */
  on: boolean;
  skill_id: string;
}): Promise<unknown> {
  return transport.call('openhuman.skills_switch', params);
}

export function skillsLiftQuarantine(transport: Transport, params: {
  skill_id: string;
}): Promise<unknown> {
  return transport.call('openhuman.skills_lift_quarantine', params);
}

export function skillsRpc(transport: Transport, params: {
  method: string;
  params?: unknown;
  skill_id: string;
}): Promise<unknown> {
  return transport.call('openhuman.skills_rpc', params);
}

export function skillsDisconnect(transport: Transport, params: {
  skill_id: string;
}): Promise<unknown> {
  return transport.call('openhuman.skills_disconnect', params);
}

export function skillsPermissions(transport: Transport, params: {
  skill_id: string;
}): Promise<PermissionsView> {
  return transport.call('openhuman.skills_permissions', params);
}

export function skillsAllow(transport: Transport, params: {
  /** The package that the user was shown: another one is not allowed by this. */
  digest: string;
  skill_id: string;
}): Promise<PermissionsView> {
  return transport.call('openhuman.skills_allow', params);
}

export function skillsRevoke(transport: Transport, params: {
  skill_id: string;
}): Promise<PermissionsView> {
  return transport.call('openhuman.skills_revoke', params);
}

export function skillsAllowHost(transport: Transport, params: {
  /** A public host such as `api.example.com` or `*.example.com`; with a port, an address of this machine or network. */
  host: string;
  port?: number | null;
  skill_id: string;
}): Promise<PermissionsView> {
  return transport.call('openhuman.skills_allow_host', params);
}

export function skillsForgetHost(transport: Transport, params: {
  /** A public host such as `api.example.com` or `*.example.com`; with a port, an address of this machine or network. */
  host: string;
  port?: number | null;
  skill_id: string;
}): Promise<PermissionsView> {
  return transport.call('openhuman.skills_forget_host', params);
}

export function skillsEgress(transport: Transport, params: {
  /** How many, at most 1000; 100 without it. */
  limit?: number | null;
  /** Only what was refused. */
  refused?: boolean;
  /** Only this skill's. */
  skill_id?: string | null;
}): Promise<EgressView> {
  return transport.call('openhuman.skills_egress', params);
}

export function skillsSearch(transport: Transport, params: {
  category?: string | null;
  query: string;
}): Promise<unknown> {
  return transport.call('openhuman.skills_search', params);
}

export function skillsPlan(transport: Transport, params: {
  skill_id: string;
}): Promise<PlanView> {
  return transport.call('openhuman.skills_plan', params);
}

export function skillsInstall(transport: Transport, params: {
  /** The fingerprint of the new key, where another key has signed the package: the user has compared it. */
  accept_key?: string | null;
  /** The digest that the plan, or a refusal of kind `needs_consent`, named: the user has seen what it means. */
  consent?: string | null;
  skill_id: string;
}): Promise<Installed> {
  return transport.call('openhuman.skills_install', params);
}

export function skillsUninstall(transport: Transport, params: {
  /** Delete its rows, files and published state. Without it they stay for the same publisher's skill. */
  forget_data?: boolean;
  /** Keep the documents that it added to the memory. */
  keep_documents?: boolean;
  skill_id: string;
}): Promise<Uninstalled> {
  return transport.call('openhuman.skills_uninstall', params);
}

export function memoryAdd(transport: Transport, params: {
  text: string;
  title: string;
}): Promise<Added> {
  return transport.call('openhuman.memory_add', params);
}

export function chatCancel(transport: Transport, params: {
  thread_id: string;
}): Promise<Cancelled> {
  return transport.call('openhuman.chat_cancel', params);
}
