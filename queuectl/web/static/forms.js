// What makes forms pleasant; without it they work, too.
"use strict";
(() => {
  // One tick for all of a page

  const prepare = () => { for (const all of document.querySelectorAll("[data-ticks]")) all.hidden = false; };
  document.addEventListener("change", (event) => {
    const name = event.target.dataset?.ticks;
    if (!name) return;
    for (const one of event.target.form.querySelectorAll(`input[name="${name}"]`)) one.checked = event.target.checked;
  });
  prepare();
  addEventListener("queuectl:changed", prepare);

  // Checked as somebody types, by the server, which knows what a job is

  const form = document.querySelector("form[data-check]");
  if (!form) return;
  const problem = document.getElementById("problem");
  let timer = null, number = 0;
  const check = async () => {
    const mine = number += 1;
    const fields = new FormData(form);
    const isEmpty = !fields.get("command").trim() && !fields.get("json").trim();
    let error = null;
    if (!isEmpty) {
      try {
        error = (await (await fetch(form.dataset.check, { method: "POST", body: new URLSearchParams(fields) })).json()).error;
      } catch { return; }
    }
    if (mine !== number) return; // Somebody has typed on.
    problem.textContent = error || "";
    problem.hidden = !error;
    const used = form.elements[fields.get("json").trim() ? "json" : "command"];
    for (const field of [form.elements.json, form.elements.command]) field.removeAttribute("aria-invalid");
    if (error) used.setAttribute("aria-invalid", "true");
  };
  form.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(check, 200); });
})();
