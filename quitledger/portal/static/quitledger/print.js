"use strict";
/* The button that prints; without this file the browser's own way is there. */
document.querySelectorAll("[data-print]").forEach((button) => {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
});
