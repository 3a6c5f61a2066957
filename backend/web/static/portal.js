// Keeps the story and the ledger's proof on the open page up to date; without it the page still
// shows everything, and reloads itself while the story runs.
(function () {
  "use strict";

  const RUNNING_MILLISECONDS = 1000;
  const WAITING_MILLISECONDS = 5000;
  const SECTIONS = ["story", "ledger"];

  function section(name, root) {
    return (root || document).getElementById(name);
  }

  function isOver(state) {
    return state === "passed" || state === "failed";
  }

  async function showAgain() {
    const answer = await fetch(window.location.href, { cache: "no-store" });
    if (!answer.ok) {
      return;
    }
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const name of SECTIONS) {
      const [old, made] = [section(name), section(name, fresh)];
      if (old && made) {
        old.replaceChildren(...made.childNodes);
        Object.assign(old.dataset, made.dataset);
      }
    }
  }

  async function look() {
    try {
      const answer = await fetch("/portal/story.json", { cache: "no-store" });
      if (answer.ok) {
        const told = await answer.json();
        if (told.version !== section("story").dataset.version) {
          await showAgain();
        }
      }
    } catch (error) {
      // The server is away, perhaps starting anew: ask again at the slow pace.
      section("story").dataset.state = "waiting";
    }
    again();
  }

  function again() {
    const state = section("story").dataset.state;
    if (!isOver(state)) {
      const pause = state === "running" ? RUNNING_MILLISECONDS : WAITING_MILLISECONDS;
      window.setTimeout(look, pause);
    }
  }

  again();
})();
