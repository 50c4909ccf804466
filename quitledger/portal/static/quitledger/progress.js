"use strict";
/* How far the work is, asked again and again; when it is done the page is opened anew. Without this file the link does it. */
(() => {
  const every = 1500; /* milliseconds */
  const ask = async () => {
    try {
      const answer = await fetch(location.href, { credentials: "same-origin" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const now = page.querySelector("[data-progress]");
      const shown = document.querySelector("[data-progress]");
      if (!answer.ok || !now || now.dataset.progress !== shown.dataset.progress) return location.reload();
      const bar = shown.querySelector("progress");
      const next = now.querySelector("progress");
      if (next.hasAttribute("value")) bar.value = next.value;
      bar.max = next.max;
      for (const part of ["h2", "[data-progress-words]"]) {
        const words = shown.querySelector(part);
        const say = now.querySelector(part).textContent;
        if (words.textContent !== say) words.textContent = say;
      }
    } catch {
      /* the network was away: asked again */
    }
    setTimeout(ask, every);
  };
  setTimeout(ask, every);
})();
