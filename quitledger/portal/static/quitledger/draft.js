"use strict";
/* Forms with data-draft keep themselves while they are being typed: three seconds after the last key, and on leaving. */
(() => {
  const form = document.querySelector("form[data-draft]");
  if (!form) return;
  const told = form.querySelector("[data-draft-told]");
  const flag = form.querySelector("input[name=draft]");
  let waiting = null;
  let typed = false;
  const keep = async (leaving) => {
    clearTimeout(waiting);
    if (!typed || form.dataset.sent) return;
    typed = false;
    const body = new URLSearchParams(new FormData(form));
    body.set("keep_draft", "auto");
    try {
      const answer = await fetch(form.action, { method: "POST", body, redirect: "manual", keepalive: leaving });
      if (answer.status === 429) waiting = setTimeout(keep, Number(answer.headers.get("Retry-After")) * 1000, false);
      if (answer.status !== 204) throw new Error(String(answer.status));
      flag.value = "1";
      told.textContent = told.dataset.kept;
    } catch {
      typed = true;
      told.textContent = told.dataset.failed;
    }
  };
  form.addEventListener("input", () => {
    typed = true;
    clearTimeout(waiting);
    waiting = setTimeout(keep, 3000, false);
  });
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "hidden") keep(true);
  });
})();
