/** What tests may ask of a page: the methods of `Wallet`, and these. For node and for pages. */

/**
 * `options` and `phone` belong together: `clock`, `online` and waiting move the phone.
 * @returns a function from {call, given} to {result} or {refused}; bytes are hex in it
 */
export async function makeRunner(sdk, url, store, phone = { seconds: 0, isOnline: true }) {
  const options = {
    store,
    language: "en",
    clock: () => phone.seconds || Date.now() / 1000,
    sleep: async (seconds) => {
      if (phone.seconds) phone.seconds += seconds;
      else await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    },
  };
  if (phone.isOnline !== undefined) options.isOnline = () => phone.isOnline;
  let wallet = await sdk.Wallet.open(url, options);
  const commands = {
    clock: (seconds) => void (phone.seconds = seconds),
    online: (isOnline) => void (phone.isOnline = isOnline),
    reload: async () => void (wallet = await sdk.Wallet.open(url, options)),
    documents: () => Object.fromEntries(store.documents),
    damage: (name, value) => void store.documents.set(name, value),
    proof: (audience, jti, issuedAt) =>
      sdk.makeProof(wallet.parts.keys, { audience, jti, issuedAt }),
    exportKey: () => crypto.subtle.exportKey("jwk", wallet.parts.keys.signing.privateKey),
    refreshRide: () => wallet.ride.refreshIfNeeded(),
    refreshIdentity: () => wallet.identity.refreshIfNeeded(),
    ride: () => wallet.ride.show(),
    identity: (purpose, claims) => wallet.identity.show(purpose, claims),
  };
  return async ({ call, given }) => {
    try {
      const command = commands[call] ?? wallet[call].bind(wallet);
      return JSON.parse(JSON.stringify({ result: (await command(...given)) ?? null }, shown));
    } catch (error) {
      if (!(error instanceof sdk.SdkError)) throw error;
      const { name, code, message } = error;
      return { refused: { name, code, message, data: error.data ?? {} } };
    }
  };
}

const shown = (_, value) =>
  value instanceof Uint8Array
    ? Array.from(value, (one) => one.toString(16).padStart(2, "0")).join("")
    : value;
