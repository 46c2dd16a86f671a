"use strict";
// Shows streams as they arrive and keeps the journal up to date. The rest works without this script.
(() => {
  const form = document.getElementById("ask");
  if (!form) return;
  const [turns, problem, stop, journal] = ["turns", "problem", "stop", "journal"].map((id) => document.getElementById(id));
  const button = form.querySelector("[type=submit]");
  let shown = ""; // the journal's rows
  let leaving = null; // aborts the prompt that is being answered

  const part = async (path) => {
    const answer = await fetch(path);
    return answer.ok ? answer.text() : "";
  };

  const refresh = async () => {
    const rows = await part("/page/journal").catch(() => "");
    if (rows && rows !== shown) journal.innerHTML = shown = rows; // escaped by the server
  };

  const complain = (text) => {
    problem.textContent = text;
    problem.hidden = !text;
  };

  // One block between blank lines: `event: NAME` and `data: JSON`.
  const parse = (block) => {
    const data = block.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5)).join("\n");
    return data ? JSON.parse(data) : {};
  };

  const read = async (response, onEvent) => {
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        if (await onEvent(parse(block))) return reader.cancel(); // what follows the end does not matter
      }
    }
  };

  const ask = async (prompt) => {
    const turn = document.getElementById("turn").content.firstElementChild.cloneNode(true);
    turn.querySelector(".prompt").textContent = prompt;
    turn.classList.add("arriving");
    turns.append(turn);
    let finished = false;
    try {
      const response = await fetch(form.action, {
        method: "POST",
        body: new URLSearchParams(new FormData(form)),
        headers: { Accept: "text/event-stream" },
        signal: leaving.signal,
      });
      if (!response.ok || !response.headers.get("Content-Type").startsWith("text/event-stream")) {
        throw new Error(`${response.status}: ${await response.text()}`);
      }
      form.elements.session.value = response.headers.get("X-Conversation");
      await read(response, async (event) => {
        if (event.status === "progress") turn.querySelector(".answer").append(event.message);
        turns.scrollTop = turns.scrollHeight;
        if (event.status === "error") throw new Error(event.message);
        if (event.status === "finish") {
          finished = true;
          const ids = (event.citations || []).join(",");
          const query = new URLSearchParams({ agent: form.elements.agent.value, ids });
          turn.querySelector(".sources").innerHTML = await part(`/page/sources?${query}`); // escaped by the server
          turn.scrollIntoView({ block: "nearest" });
        }
        return finished;
      });
      if (!finished) throw new Error("The stream ended before the answer was finished.");
    } catch (error) {
      complain(error.name === "AbortError" ? "Stopped." : error.message);
    } finally {
      turn.classList.remove("arriving");
    }
  };

  form.addEventListener("submit", async (submitted) => {
    submitted.preventDefault();
    if (leaving) return;
    complain("");
    leaving = new AbortController();
    stop.hidden = false;
    button.disabled = true;
    const asked = ask(form.elements.prompt.value); // the form is read before it is emptied
    form.elements.prompt.value = "";
    await asked;
    leaving = null;
    stop.hidden = true;
    button.disabled = false;
    form.elements.prompt.focus();
    await refresh();
  });

  stop.addEventListener("click", () => leaving && leaving.abort());
  setInterval(() => document.visibilityState === "visible" && refresh(), 2000);
})();
