import type { Transport } from '../transport/types';

/** Why a passage was found. */
export interface Signals {
  /** How near the meaning is: a cosine, -1 to 1. */
  vector: number;
  /** How well the words fit: BM25, 0 or more. */
  text: number;
  /** How many different words of the question occur. */
  matched_terms: number;
}

/** A passage that was found. */
export interface Hit {
  document_id: string;
  chunk_id: number;
  namespace: string;
  key: string;
  title: string;
  source: string;
  heading: string[];
  text: string;
  created_ms: number;
  score: number;
  signals: Signals;
}

/** A passage, and whether it has to do with the question. */
export interface Found {
  hit: Hit;
  related: boolean;
}

/** A document that is remembered, without its text. */
export interface DocumentInfo {
  id: string;
  namespace: string;
  key: string;
  title: string;
  source: string;
  updated_ms: number;
  bytes: number;
  chunks: number;
}

export const KINDS = ['preference', 'goal', 'constraint', 'entity'] as const;
export type Kind = (typeof KINDS)[number];

/** Something that every answer has at hand. */
export interface Item {
  id: number;
  /** `user`, or the skill that published it. */
  origin: string;
  kind: Kind;
  text: string;
  confidence: number;
  evidence: number;
  pinned: boolean;
  last_ms: number;
}

/** What was forgotten. */
export interface ForgetReport {
  documents_removed: number;
  documents_changed: number;
  sessions_removed: number;
  session_lines: number;
  facts: number;
  working_items: number;
  /** Files of the user that still hold it. */
  backups: string[];
  left: string[];
}

/** What to forget everywhere. */
export type Forgotten = 'phrase' | 'person' | 'source' | 'skill';

export async function searchMemory(transport: Transport, query: string): Promise<Found[]> {
  return (await transport.call<{ found: Found[] }>('openhuman.memory_context', { query, explain: true })).found;
}

export async function listDocuments(transport: Transport): Promise<DocumentInfo[]> {
  return (await transport.call<{ documents: DocumentInfo[] }>('openhuman.memory_list_documents')).documents;
}

export async function deleteDocument(transport: Transport, document: DocumentInfo): Promise<boolean> {
  const params = { namespace: document.namespace, document_id: document.id };
  return (await transport.call<{ deleted: boolean }>('openhuman.memory_delete_document', params)).deleted;
}

export function forgetEverywhere(transport: Transport, what: Forgotten, text: string): Promise<ForgetReport> {
  return transport.call('openhuman.memory_forget', { [what]: text });
}

export async function listItems(transport: Transport): Promise<Item[]> {
  return (await transport.call<{ items: Item[] }>('openhuman.memory_profile_list')).items;
}

export function rememberItem(transport: Transport, kind: Kind, text: string): Promise<unknown> {
  return transport.call('openhuman.memory_profile_remember', { kind, text });
}

export function pinItem(transport: Transport, id: number, pinned: boolean): Promise<unknown> {
  return transport.call('openhuman.memory_profile_pin', { id, pinned });
}

export function closeItem(transport: Transport, id: number): Promise<unknown> {
  return transport.call('openhuman.memory_profile_close', { id });
}

/** What a person calls a document: its title; what was said in a chat is not named by the chat's number. */
export function nameOf(document: { title: string; key: string; source: string; namespace: string }): string {
  if (/^conversation\b/i.test(document.source)) return 'A chat';
  return document.title || document.key;
}

/** Where a document came from, for people. */
export function sourceOf(document: { title: string; key: string; source: string; namespace: string }): string {
  if (/^conversation\b/i.test(document.source)) return 'Said here';
  return document.source || (document.namespace === 'default' ? 'Added by hand' : document.namespace);
}
