// @ts-check
/**
 * Keeps the page and the SDK's modules, so that codes work without a network. Knows no person.
 *
 * Register it as a classic script, with the shell's paths:
 * `/service-worker.js?sdk=/sdk/&shell=/me,/me/app.css,/me/app.js`. Only the paths named there and
 * the modules below are ever cached, under one name for each version and shell; an answer of the
 * API, or anything marked `no-store` or `private`, never is.
 */

// The next two are written by `python -m tools.openapi_types`: the version is a digest of what is
// listed, so a changed module is a changed worker, which browsers notice.
const VERSION = "ed3dfa0543fd41a5";
const MODULES = [
  "api-types.js",
  "bytes.js",
  "card-box.js",
  "client.js",
  "clock.js",
  "code-parts.js",
  "codes.js",
  "commands.js",
  "errors.js",
  "history.js",
  "hpke.js",
  "identity-code.js",
  "ids.js",
  "index.js",
  "key-batch.js",
  "keys.js",
  "operations.js",
  "pay-code.js",
  "proofs.js",
  "ride-code.js",
  "session.js",
  "shapes.js",
  "state.js",
  "store.js",
  "wallet-cards.js",
  "wallet-parts.js",
  "wallet.js",
  "words.js",
];
const PREFIX = "city-card-";
const SHELL_PATHS_MAX = 64;
const ENTRY_BYTES_MAX = 512 * 1024;
const FORBIDDEN = /\b(no-store|private)\b/i;

const worker = /** @type {any} */ (globalThis);
const asked = new URL(worker.location.href).searchParams;

/** The absolute paths that are cached; all of this origin. */
function cachedPaths() {
  const shell = (asked.get("shell") ?? "").split(",").filter(Boolean);
  if (shell.length > SHELL_PATHS_MAX) throw new TypeError(`at most ${SHELL_PATHS_MAX} paths`);
  const sdk = asked.get("sdk") ?? "./";
  const paths = [...shell, ...MODULES.map((name) => sdk + name)];
  return paths.map((path) => {
    const url = new URL(path, worker.location.href);
    const isOurs = url.origin === worker.location.origin && !url.pathname.startsWith("/v1/");
    if (!isOurs) throw new TypeError(`not a path of the page: ${path}`);
    return url.pathname;
  });
}

const PATHS = cachedPaths();
const CACHE = `${PREFIX}${VERSION}-${PATHS.length}-${asked.get("release") ?? ""}`;

/**
 * Fetches one entry past the browser's own cache. Throws when it must not be kept: then the worker
 * is not installed, and the version before it stays.
 * @param {string} path
 */
async function fetched(path) {
  const response = await fetch(path, { cache: "reload", credentials: "omit", redirect: "error" });
  const size = (await response.clone().arrayBuffer()).byteLength;
  const isFree = !FORBIDDEN.test(response.headers.get("Cache-Control") ?? "");
  if (response.status !== 200 || !isFree || size > ENTRY_BYTES_MAX) {
    throw new TypeError(`cannot be kept: ${path}`);
  }
  return response;
}

async function install() {
  const responses = await Promise.all(PATHS.map(fetched)); // all of them, or none
  const cache = await caches.open(CACHE);
  await Promise.all(PATHS.map((path, at) => cache.put(path, responses[at])));
  await worker.skipWaiting();
}

async function activate() {
  const names = await caches.keys();
  const old = names.filter((name) => name.startsWith(PREFIX) && name !== CACHE);
  await Promise.all(old.map((name) => caches.delete(name)));
  await worker.clients.claim();
}

/**
 * What is kept, else the network. Never writes.
 * @param {Request} request
 */
async function answer(request) {
  const kept = await (await caches.open(CACHE)).match(new URL(request.url).pathname);
  return kept ?? fetch(request);
}

/** @param {Request} request */
function isCached(request) {
  const url = new URL(request.url);
  const isPlain = request.method === "GET" && !request.headers.has("Authorization");
  return isPlain && url.origin === worker.location.origin && PATHS.includes(url.pathname);
}

worker.addEventListener("install", (/** @type {any} */ event) => event.waitUntil(install()));
worker.addEventListener("activate", (/** @type {any} */ event) => event.waitUntil(activate()));
worker.addEventListener("fetch", (/** @type {any} */ event) => {
  if (isCached(event.request)) event.respondWith(answer(event.request));
});
