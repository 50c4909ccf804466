"use strict";
/* What was refused because too many came at once is sent again by itself; without this file the button does it. */
(() => {
  const form = document.querySelector("form[data-again]");
  document.querySelector("[data-again-told]").hidden = false;
  /* Not all at once again. */
  setTimeout(() => form.requestSubmit(), Number(form.dataset.again) * (1 + Math.random()) * 1000);
})();
