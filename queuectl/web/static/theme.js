// Before anything is drawn: the theme that somebody has chosen here; else the system's.
"use strict";
(() => {
  const root = document.documentElement;
  const dark = () => matchMedia("(prefers-color-scheme: dark)").matches;
  try {
    const chosen = localStorage.getItem("queuectl-theme");
    if (chosen) root.dataset.theme = chosen;
  } catch { /* A browser that keeps nothing. */ }
  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const now = () => root.dataset.theme || (dark() ? "dark" : "light");
    const tell = () => { button.textContent = now() === "dark" ? "Light" : "Dark"; };
    button.hidden = false;
    tell();
    button.addEventListener("click", () => {
      root.dataset.theme = now() === "dark" ? "light" : "dark";
      try { localStorage.setItem("queuectl-theme", root.dataset.theme); } catch { /* As above. */ }
      tell();
    });
  });
})();
