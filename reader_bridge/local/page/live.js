// Calls to the terminal and its stream of screens; knows nothing of the page.

const RETRY_MILLISECONDS = 2000;
const CALL_MILLISECONDS = 90000;

export class Refusal extends Error {
  constructor(problem) {
    super(problem.detail);
    this.problem = problem;
  }
}

// The answer's JSON. Throws Refusal for a problem; TypeError or a time-out when none came.
export async function call(method, path, body, language) {
  const answer = await fetch(path, {
    method,
    headers: {
      "Accept-Language": language,
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
    },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: AbortSignal.timeout(CALL_MILLISECONDS),
  });
  const told = await answer.json();
  if (!answer.ok) throw new Refusal(told);
  return { told, status: answer.status };
}

// `onScreen` gets every screen, `onState` "live", "lost" or "shut". Goes on for ever.
export function follow(onScreen, onState) {
  const events = new EventSource("/v1/events");
  events.addEventListener("open", () => onState("live"));
  events.addEventListener("screen", (event) => onScreen(JSON.parse(event.data)));
  events.addEventListener("error", async () => {
    onState("lost");
    if (events.readyState !== EventSource.CLOSED) return; // the browser tries again itself
    try {
      const answer = await fetch("/v1/screen");
      if (answer.status === 401) return onState("shut");
    } catch {
      onState("lost");
    }
    setTimeout(() => follow(onScreen, onState), RETRY_MILLISECONDS);
  });
}

// A number nobody else makes: it is stored before it is sent, and sent again if no answer came.
export function newReference(kind) {
  const random = crypto.getRandomValues(new Uint8Array(6));
  const tail = [...random].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${kind}-${Date.now().toString(36)}-${tail}`;
}
