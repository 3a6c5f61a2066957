// @ts-check
/** The statement's lines, fetched as far as they are new. Knows nothing of storage. */

import { StorageDamaged } from "./errors.js";
import { readAll } from "./shapes.js";

const PAGE_LINES = 50;
const LINES_MAX = 500;

/**
 * Newest first, at most 500: what is new, then `known`. Nothing is kept of a fetch that breaks
 * off, so there is never a gap between the two.
 * @param {Pick<import("./session.js").Sessions, "get">} sessions
 * @param {string} walletId
 * @param {any[]} known
 * @returns {Promise<any[]>}
 */
export async function fetchLines(sessions, walletId, known) {
  const knownIds = new Set(known.map((line) => line.line_id));
  const path = `/v1/me/wallets/${walletId}/lines`;
  const fresh = new Map();
  let after = null;
  for (let page = 0; page < LINES_MAX / PAGE_LINES; page += 1) {
    /** @type {Record<string, string>} */
    const query = { limit: String(PAGE_LINES) };
    if (after !== null) query.after = after;
    const document = await sessions.get(path, query);
    for (const line of readAll("line", document)) {
      if (knownIds.has(line.line_id)) return [...fresh.values(), ...known].slice(0, LINES_MAX);
      fresh.set(line.line_id, line);
    }
    after = typeof document.next === "string" ? document.next : null;
    if (after === null) break;
  }
  return [...fresh.values()].slice(0, LINES_MAX);
}

/**
 * Lines as they were kept; null when none were. Throws StorageDamaged.
 * @param {any} held
 * @returns {{lines: any[], asOf: string} | null}
 */
export function findKeptLines(held) {
  if (held === undefined) return null;
  const isOurs = Array.isArray(held?.lines) && typeof held.asOf === "string";
  if (!isOurs) throw new StorageDamaged("history", "not the lines that were written");
  return { lines: held.lines, asOf: held.asOf };
}
