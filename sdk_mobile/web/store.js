// @ts-check
/** Where a page keeps documents: whole, or not at all. Knows nothing of what is in them. */

import { StorageDamaged, StorageFailed } from "./errors.js";

/**
 * The storage port. Values are what the structured clone algorithm takes, CryptoKey included.
 *
 * `change` reads, decides and writes as one step that no other tab can come between: `decide` is
 * synchronous, gets what is held (undefined: nothing), and returns what to hold; the held value
 * itself means no write. What it throws, `change` throws, and nothing is written. Durable when the
 * promise is fulfilled.
 * @typedef {object} Store
 * @property {(name: string) => Promise<any>} read
 * @property {(name: string, decide: (held: any) => any) => Promise<any>} change
 * @property {() => Promise<void>} wipe forgets every document: the end of this page's wallet
 */

/** @typedef {(database: IDBDatabase) => void} Migration */

const DATABASE = "city-card";
const DOCUMENTS = "documents";
const OPEN_WAIT_SECONDS = 10;

/**
 * The schema, step by step: a database of version n has had the first n steps. Steps are added at
 * the end and never changed, since phones have taken the earlier ones.
 * @type {ReadonlyArray<Migration>}
 */
export const MIGRATIONS = Object.freeze([
  (/** @type {IDBDatabase} */ database) => void database.createObjectStore(DOCUMENTS),
]);

/** For tests, and where a page has no IndexedDB: forgets everything with the page. */
export class MemoryStore {
  constructor() {
    /** @type {Map<string, unknown>} */
    this.documents = new Map();
  }

  /** @param {string} name */
  async read(name) {
    return this.documents.get(name);
  }

  /**
   * @param {string} name
   * @param {(held: any) => any} decide
   */
  async change(name, decide) {
    const held = this.documents.get(name);
    const after = decide(held);
    if (after !== held) this.documents.set(name, structuredClone(after));
    return this.documents.get(name);
  }

  async wipe() {
    this.documents.clear();
  }
}

/** IndexedDB. A tab of a later version of the page may take it over: then this one ends. */
export class IndexedDbStore {
  /** @param {IDBDatabase} database */
  constructor(database) {
    this.database = database;
    database.onversionchange = () => database.close();
  }

  /**
   * Opens the database, and brings an older one to today's schema. Throws StorageFailed, and
   * StorageDamaged when a later version of the page wrote it.
   * @param {string} [name]
   * @param {ReadonlyArray<Migration>} [migrations]
   * @returns {Promise<IndexedDbStore>}
   */
  static open(name = DATABASE, migrations = MIGRATIONS) {
    return new Promise((resolve, reject) => {
      const opening = indexedDB.open(name, migrations.length);
      const giveUp = () => reject(new StorageFailed("another tab keeps the database"));
      const timer = setTimeout(giveUp, OPEN_WAIT_SECONDS * 1000);
      opening.onupgradeneeded = ({ oldVersion }) => {
        for (const migrate of migrations.slice(oldVersion)) migrate(opening.result);
      };
      opening.onsuccess = () => {
        clearTimeout(timer);
        resolve(new IndexedDbStore(opening.result));
      };
      opening.onerror = () => {
        clearTimeout(timer);
        reject(openingFault(name, opening.error));
      };
    });
  }

  close() {
    this.database.close();
  }

  /** @param {string} name */
  read(name) {
    return new Promise((resolve, reject) => {
      const transaction = this.begin("readonly", reject);
      if (transaction === null) return;
      const reading = transaction.objectStore(DOCUMENTS).get(name);
      transaction.oncomplete = () => resolve(reading.result);
      transaction.onabort = () => reject(new StorageFailed(String(transaction.error)));
    });
  }

  /**
   * @param {string} name
   * @param {(held: any) => any} decide
   */
  change(name, decide) {
    return new Promise((resolve, reject) => {
      const transaction = this.begin("readwrite", reject);
      if (transaction === null) return;
      const documents = transaction.objectStore(DOCUMENTS);
      const reading = documents.get(name);
      /** @type {unknown} */
      let after;
      /** @type {unknown} */
      let refusal = null;
      reading.onsuccess = () => {
        try {
          after = decide(reading.result);
          if (after !== reading.result) documents.put(after, name);
        } catch (error) {
          refusal = error;
          transaction.abort();
        }
      };
      transaction.oncomplete = () => resolve(after);
      transaction.onabort = () => {
        reject(refusal ?? new StorageFailed(String(transaction.error)));
      };
    });
  }

  /** @returns {Promise<void>} */
  wipe() {
    return new Promise((resolve, reject) => {
      const transaction = this.begin("readwrite", reject);
      if (transaction === null) return;
      transaction.objectStore(DOCUMENTS).clear();
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(new StorageFailed(String(transaction.error)));
    });
  }

  /**
   * @param {IDBTransactionMode} mode
   * @param {(reason: unknown) => void} reject
   */
  begin(mode, reject) {
    try {
      return this.database.transaction(DOCUMENTS, mode, { durability: "strict" });
    } catch (error) {
      reject(new StorageFailed(`the database is closed: load the page again (${error})`));
      return null;
    }
  }
}

/**
 * Asks the browser not to throw our documents away when the disk fills; what it says.
 * @returns {Promise<boolean>}
 */
export async function askToPersist() {
  return (await navigator.storage?.persist?.()) ?? false;
}

/**
 * @param {string} name
 * @param {DOMException | null} error
 */
function openingFault(name, error) {
  const isLater = error?.name === "VersionError";
  if (isLater) return new StorageDamaged(name, "written by a later version of this page");
  return new StorageFailed(String(error));
}
