import type { CoreError } from '../transport/types';

/** A way out that the window offers. */
export type WayOut = 'accept' | 'accept-all' | 'discard-log';

/** What an error of the sealed files means for a person, and what to do next. */
export interface Trouble {
  title: string;
  advice: string;
  wayOut?: WayOut;
}

/** Says what to do about an error that has a word of its own; null for every other one. */
export function troubleOf(error: CoreError): Trouble | null {
  const database = error.details.database ?? 'a database';
  switch (error.reason) {
    case 'disk_full':
      return { title: 'The disk is full', advice: 'Nothing was lost. Free some space, then try again.' };
    case 'read_only':
      return {
        title: 'The data folder cannot be written',
        advice: 'Make the folder and its files writable for your user, then try again.',
      };
    case 'page_corrupt':
      return {
        title: `A part of “${database}” is damaged`,
        advice: 'The disk has an error, or somebody changed the file. Put the file that is named below back from a backup.',
      };
    case 'log_corrupt':
      return {
        title: `The last changes of “${database}” cannot be read`,
        advice:
          'Put the file and its log back from a backup. Or give up the last changes: everything before them stays, and the damaged log is kept beside the database.',
        wayOut: 'discard-log',
      };
    case 'rolled_back':
      return {
        title: `An older copy of “${database}” was put back`,
        advice:
          'If you put it back yourself, you can use it as it is: what was stored after that copy is not in it. If you did not, somebody else had access to your files.',
        wayOut: 'accept',
      };
    case 'notes_missing':
    case 'notes_damaged':
      return {
        title: 'The notes about your databases are gone',
        advice:
          'They say which state of each database is the newest. Put them back from a backup, or accept all databases as they are.',
        wayOut: 'accept-all',
      };
    case 'memory_missing':
      return { title: 'The memory is missing', advice: 'Put the file that is named below back from a backup.' };
    case 'vault_missing':
      return { title: 'The vault is missing', advice: 'There is data that it sealed. Put the vault back from a backup.' };
    case 'vault_damaged':
      return { title: 'The vault is damaged', advice: 'Put the file that is named below back from a backup.' };
    case 'busy':
      return {
        title: 'The data folder is in use',
        advice: 'Another OpenHuman window or command works with it. Close that one, then try again.',
      };
    default:
      return null;
  }
}
