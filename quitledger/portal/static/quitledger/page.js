"use strict";
/* Conveniences only: every page works without this file. */
(() => {
  const summary = document.querySelector(".errors");
  if (summary) summary.focus();

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    const form = document.querySelector("form[data-ctrl-enter]");
    if (form) form.requestSubmit();
  });

  /* The browsers' own key for an access key differs (Alt, Alt+Shift, Ctrl+Option); the page promises Alt. */
  document.addEventListener("keydown", (event) => {
    if (!event.altKey || event.ctrlKey || event.metaKey || !event.code?.startsWith("Key")) return;
    const button = document.querySelector(`button[accesskey=${event.code.slice(3).toLowerCase()}]`);
    if (!button) return;
    event.preventDefault();
    button.click();
  });

  /* A form is sent once. The button stays focusable; coming back to the page, or waiting in vain, frees it again. */
  const buttonsOf = (form) => form.querySelectorAll("button:not([type=button])");
  const free = (form) => {
    delete form.dataset.sent;
    buttonsOf(form).forEach((button) => button.removeAttribute("aria-disabled"));
  };
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post" || event.defaultPrevented) return;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "1";
    buttonsOf(form).forEach((button) => button.setAttribute("aria-disabled", "true"));
    setTimeout(() => free(form), 15000);
  });
  window.addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach(free));
})();
