// Keeps a page as the queue is: the server tells that something has changed, the page fetches itself and takes over
// what differs. What somebody types, ticks or has opened is left alone. A page that nobody sees holds no connection:
// browsers open six to a server, and each stream takes one.
"use strict";
(() => {
  const LEAST_MS = 700; // between two looks: with that of the server a change is seen within a second
  const TIMES = 4; // as long as a look takes it rests, if that is longer: a search among a million takes a while
  const root = document.documentElement;
  let stream = null, logStream = null, busy = false, again = false, next = 0, heard = null;

  // Times

  const STEPS = [[60, 1, "s"], [3600, 60, "min"], [86400, 3600, "h"], [Infinity, 86400, "d"]];
  const words = (seconds) => {
    const away = Math.abs(seconds);
    const [, unit, name] = STEPS.find(([below]) => away < below);
    const text = `${Math.floor(away / unit)} ${name}`;
    return seconds < 0 ? `in ${text}` : away < 1 ? "now" : `${text} ago`;
  };
  const tick = () => {
    for (const time of document.querySelectorAll("time")) {
      const moment = new Date(time.dateTime);
      if (isNaN(moment)) continue;
      const text = "clock" in time.dataset
        ? moment.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })
        : words((Date.now() - moment) / 1000);
      if (time.textContent !== text) time.textContent = text;
      if (!time.title) time.title = moment.toLocaleString();
    }
  };

  // The page

  const isKept = (node) => node.nodeType === 1 && (node.hasAttribute("data-keep") || node.type === "checkbox");
  const callbacks = {
    beforeNodeMorphed: (node) => !isKept(node),
    beforeAttributeUpdated: (name, node) => !(name === "open" && node.tagName === "DETAILS"),
  };
  const take = (page) => {
    for (const id of ["nav", "main"]) {
      const [mine, theirs] = [document.getElementById(id), page.getElementById(id)];
      if (mine && theirs) Idiomorph.morph(mine, theirs, { ignoreActiveValue: true, callbacks });
    }
    root.dataset.version = page.documentElement.dataset.version;
    document.title = page.title;
    tick();
    dispatchEvent(new Event("queuectl:changed"));
  };
  const refresh = async () => {
    if (busy) { again = true; return; }
    busy = true;
    try {
      await new Promise((done) => setTimeout(done, Math.max(0, next - Date.now())));
      const began = Date.now();
      const answer = await fetch(location.href, { headers: { Accept: "text/html", "X-Queuectl-Live": "1" } });
      if (answer.redirected && new URL(answer.url).pathname === "/login") { location.reload(); return; }
      next = Date.now() + Math.max(LEAST_MS, TIMES * (Date.now() - began));
      take(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch { /* The stream tells when the server is back. */ } finally {
      busy = false;
      // Where it takes long to make the page for others, the one before is handed out meanwhile.
      if (again || (heard && heard > root.dataset.version)) { again = false; refresh(); }
    }
  };

  // What a job prints: text, whatever it is

  const apply = (log, { drop, keep, lines }) => {
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    for (let number = 0; number < drop; number += 1) log.firstChild?.remove();
    while (log.childNodes.length > keep) log.lastChild.remove();
    for (const pieces of lines) {
      const line = document.createElement("div");
      for (const [text, classes] of pieces) {
        const piece = document.createElement("span");
        piece.textContent = text;
        if (classes) piece.className = classes;
        line.append(piece);
      }
      log.append(line);
    }
    if (atEnd) log.scrollTop = log.scrollHeight;
  };

  const isOffline = (is) => { document.getElementById("offline").hidden = !is; };
  const open = () => {
    const address = document.body.dataset.live;
    if (!address || stream) return;
    stream = new EventSource(`${address}?version=${encodeURIComponent(root.dataset.version)}`);
    stream.addEventListener("changed", (event) => { heard = JSON.parse(event.data); refresh(); });
    stream.addEventListener("open", () => isOffline(false));
    stream.addEventListener("error", () => {
      isOffline(true);
      // A refusal is final for a browser: it tries no more. Perhaps it has to be let in again.
      if (stream && stream.readyState === EventSource.CLOSED) { close(); refresh(); setTimeout(openIfSeen, 2000); }
    });
    const log = document.getElementById("log");
    if (!log) return;
    logStream = new EventSource(log.dataset.events);
    logStream.addEventListener("log", (event) => apply(log, JSON.parse(event.data)));
  };
  const close = () => {
    for (const one of [stream, logStream]) one?.close();
    stream = logStream = null;
  };
  const openIfSeen = () => { if (!document.hidden) open(); };

  document.addEventListener("visibilitychange", () => { if (document.hidden) close(); else { open(); refresh(); } });
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => { if (event.persisted) { open(); refresh(); } });
  tick();
  setInterval(tick, 1000);
  const log = document.getElementById("log");
  if (log) log.scrollTop = log.scrollHeight;
  openIfSeen();
})();
