// Makes a page that the server rendered live: applies what its stream says, counts times on, copies, switches the theme.
// Everything can be read without it. Parts come as HTML that the server has escaped.
"use strict";
(() => {
  const find = (id) => document.getElementById(id);

  // -- times: the same steps as times.py --------------------------------------------------------------------------
  const STEPS = [[60, 1, "s"], [3600, 60, "m"], [172800, 3600, "h"], [Infinity, 86400, "d"]];
  const relative = (seconds) => {
    const size = Math.abs(seconds);
    if (size < 1) return "now";
    const [, unit, name] = STEPS.find(([most]) => size < most);
    const amount = `${Math.round(size / unit)} ${name}`;
    return seconds > 0 ? `${amount} ago` : `in ${amount}`;
  };
  const two = (number) => String(number).padStart(2, "0");
  const lasting = (seconds) => {
    const whole = Math.max(0, Math.round(seconds));
    if (whole < 60) return `${whole} s`;
    if (whole < 3600) return `${Math.floor(whole / 60)} m ${two(whole % 60)} s`;
    const minutes = Math.round(whole / 60);
    if (minutes < 2880) return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} m`;
    return `${Math.floor(minutes / 1440)} d ${two(Math.floor(minutes / 60) % 24)} h`;
  };
  const write = (element, text) => { if (element.textContent !== text) element.textContent = text; };
  const count = () => {
    const now = Date.now() / 1000;
    for (const each of document.querySelectorAll("time[data-at]")) write(each, relative(now - Number(each.dataset.at)));
    for (const each of document.querySelectorAll("time[data-since]")) write(each, lasting(now - Number(each.dataset.since)));
  };
  setInterval(count, 1000);

  // -- copying and the theme -----------------------------------------------------------------------------------------
  const enable = (root) => { if (navigator.clipboard) for (const each of root.querySelectorAll(".copy[hidden]")) each.hidden = false; };
  document.addEventListener("click", async (event) => {
    const button = event.target.closest(".copy");
    if (!button) return;
    event.preventDefault();
    await navigator.clipboard.writeText(button.dataset.copy);
    button.classList.add("done");
    setTimeout(() => button.classList.remove("done"), 1200);
  });
  const THEMES = ["", "light", "dark"];
  const NAMES = { "": "Theme: system", light: "Theme: light", dark: "Theme: dark" };
  const theme = find("theme");
  const root = document.documentElement;
  const showTheme = () => { theme.textContent = NAMES[root.dataset.theme || ""]; };
  theme.hidden = false;
  showTheme();
  theme.addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(root.dataset.theme || "") + 1) % THEMES.length];
    if (next) root.dataset.theme = next; else delete root.dataset.theme;
    document.cookie = `interlock_theme=${next}; path=/ui; max-age=31536000; samesite=lax`;
    showTheme();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const each of document.querySelectorAll("details.action[open]")) each.open = false;
  });

  // -- parts: replaced in place, but never under the hands of somebody ------------------------------------------------
  const waiting = new Map();
  const isHeld = (element) => {
    if (element.querySelector("details[open]") || element.querySelector("input:focus, textarea:focus, button:active")) return true;
    const selection = document.getSelection();
    return Boolean(selection && !selection.isCollapsed && element.contains(selection.anchorNode));
  };
  const put = (id, html) => {
    const element = find(id);
    if (!element) return;
    if (isHeld(element)) { waiting.set(id, html); return; }
    waiting.delete(id);
    const key = element.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
    const scrolled = [...element.querySelectorAll(".value, .history")].map((each) => each.scrollTop);
    element.innerHTML = html;
    [...element.querySelectorAll(".value, .history")].forEach((each, number) => { each.scrollTop = scrolled[number] || 0; });
    if (key) element.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
    enable(element);
    count();
  };
  setInterval(() => { for (const [id, html] of waiting) put(id, html); }, 500);

  // -- rows: changed in place; new ones do not move what is under the pointer -----------------------------------------
  let unseen = [];
  const news = find("news");
  const rows = find("rows");
  const isWatched = () => rows.matches(":hover") || rows.contains(document.activeElement) || window.scrollY > 80;
  const insert = ({ id, html }) => {
    const row = document.createElement("tr");
    row.id = id;
    row.className = "fresh";
    row.innerHTML = html;
    rows.prepend(row);
    enable(row);
    while (rows.children.length > 100) rows.lastElementChild.remove();
  };
  const showNews = () => {
    if (!news) return;
    news.hidden = unseen.length === 0;
    news.textContent = unseen.length === 1 ? "1 new run" : `${unseen.length} new runs`;
  };
  const arrive = (change) => {
    if (find(change.id)) { put(change.id, change.html); return; }
    if (!rows) { location.reload(); return; }
    unseen = unseen.filter((each) => each.id !== change.id);
    unseen.push(change);
    showUnseen();
  };
  const showUnseen = () => {
    if (rows && !("fixed" in rows.dataset) && !isWatched()) {
      unseen.forEach(insert);
      unseen = [];
    }
    showNews();
  };
  if (rows) setInterval(() => { if (unseen.length) showUnseen(); }, 500);

  // -- the stream ----------------------------------------------------------------------------------------------------
  const link = find("link");
  const show = (state, text) => {
    link.hidden = false;
    link.dataset.state = state;
    write(link.lastElementChild, text);
  };
  const handlers = {
    ready: () => show("on", "live"),
    part: ({ id, html }) => put(id, html),
    row: ({ id, html }) => put(id, html),
    new: arrive,
    state: ({ state, title }) => {
      find("icon").href = `/ui/icon/${state}.svg`;
      document.title = `${title} · Interlock`;
    },
    log: ({ html }) => {
      const lines = find("log-lines");
      const box = lines.parentElement;
      const isAtEnd = box.scrollTop + box.clientHeight > box.scrollHeight - 40;
      lines.insertAdjacentHTML("beforeend", html);
      while (lines.children.length > 2000) lines.firstElementChild.remove();
      find("log-none")?.remove();
      if (isAtEnd) box.scrollTop = box.scrollHeight;
    },
    gone: () => { source.close(); show("off", "not live: reload the page"); },
  };
  let source;
  const listen = (address) => {
    source = new EventSource(address);
    for (const [name, handle] of Object.entries(handlers)) {
      source.addEventListener(name, (event) => handle(JSON.parse(event.data)));
    }
    source.addEventListener("error", () => show("off", "not live"));
  };
  enable(document);
  if (document.body.dataset.stream) listen(document.body.dataset.stream);
  const log = document.querySelector(".log");
  const graph = find("part-graph");
  const node = graph && (graph.querySelector("[aria-current]") || graph.querySelector(".s-faulted, .s-running, .s-waiting"));
  if (node) {
    const [box, at] = [graph.getBoundingClientRect(), node.getBoundingClientRect()];
    if (at.bottom > box.bottom) graph.scrollTop += at.top - box.top - box.height / 3;
    graph.scrollLeft += at.left + at.width / 2 - box.left - box.width / 2;
  } else if (graph) {
    graph.scrollLeft = (graph.scrollWidth - graph.clientWidth) / 2;
  }
  if (log && !location.hash) log.scrollTop = log.scrollHeight;
})();
