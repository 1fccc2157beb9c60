// Makes pages live. A page without this script shows the same; it only does not change by itself.
//
// The page says what it is about (main[data-live]); the server says when that has changed; then the page's own address
// is fetched again, and each part ([data-part][id]) whose markup differs gives way to the new one.

const LEAST_PAUSE_MS = 200;
const OFFLINE_AFTER_MS = 1000; // a server that starts anew is back sooner
const RETRY_MS = 5000;
const MOST_SKEW_MS = 2000; // the header Date has whole seconds
const KEY_PAIR_MS = 1500;

const main = document.getElementById("main");
const state = document.getElementById("live-state");

// ---- Refreshing ----------------------------------------------------------------------------------------------------

let busy = false;
let again = false;
let waiting = false; // a part is in use, and older than what was fetched
let skewMs = 0; // how far the server's clock is ahead of ours

async function refresh() {
  again = true;
  if (busy || document.hidden) return;
  busy = true;
  while (again && !document.hidden) {
    again = false;
    const begun = performance.now();
    // Where the server is away, the stream comes back when it does, and asks for a refresh then.
    let cameAfterMs;
    await load()
      .finally(() => (cameAfterMs = performance.now() - begun))
      .then(show)
      .catch((error) => error instanceof TypeError || console.error(error));
    // A page that is slow to come is asked for less often: open pages must not be what a busy server works for.
    const pauseMs = Math.max(LEAST_PAUSE_MS - (performance.now() - begun), cameAfterMs);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
  busy = false;
}

async function load() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  return { answer, html: await answer.text() };
}

function show({ answer, html }) {
  if (answer.redirected && new URL(answer.url).pathname === "/login") return location.reload();
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(html, "text/html");
  const aheadMs = Date.parse(answer.headers.get("Date") ?? "") - Date.now();
  skewMs = Math.abs(aheadMs) > MOST_SKEW_MS ? aheadMs : 0;
  document.title = fresh.title;
  waiting = false;
  for (const part of document.querySelectorAll("[data-part][id]")) {
    const next = fresh.getElementById(part.id);
    if (next === null || part.parentElement.closest("[data-part]")) continue;
    for (const details of next.querySelectorAll("details[id]")) {
      const shown = document.getElementById(details.id);
      if (shown) details.open = shown.open;
    }
    if (markup(part) === markup(next)) continue;
    if (isInUse(part)) waiting = true;
    else replace(part, next);
  }
  tick();
}

// The markup without what ticks, which differs each second.
function markup(part) {
  const copy = part.cloneNode(true);
  for (const time of copy.querySelectorAll("time[data-since]")) time.textContent = "";
  return copy.outerHTML;
}

// Somebody who fills in a form or marks text is not disturbed.
function isInUse(part) {
  const fields = [...part.querySelectorAll("input, textarea")];
  const typed = fields.some((field) => field.value !== field.defaultValue || field.checked !== field.defaultChecked);
  const active = document.activeElement.matches("input, select, textarea") && part.contains(document.activeElement);
  const selection = getSelection();
  const marked = !selection.isCollapsed && selection.containsNode(part, true);
  return active || typed || marked || part.querySelector("details[open] form") !== null;
}

function replace(part, next) {
  const focused = part.contains(document.activeElement) ? selectorOf(document.activeElement) : null;
  const scrolled = [...part.querySelectorAll(".scroll")].map((box) => [box.scrollLeft, box.scrollTop]);
  change(part, next);
  part.querySelectorAll(".scroll").forEach((box, index) => box.scrollTo(...(scrolled[index] ?? [0, 0])));
  if (focused) part.querySelector(focused)?.focus({ preventScroll: true });
}

// Makes an element what the new one is. What is the same stays: to lay out a table anew for one more row takes longer
// than all the rest.
function change(node, next) {
  if (node.isEqualNode(next)) return;
  if (!isSame(node, next)) return void node.replaceWith(next);
  for (const { name } of [...node.attributes]) if (!next.hasAttribute(name)) node.removeAttribute(name);
  for (const { name, value } of next.attributes) if (node.getAttribute(name) !== value) node.setAttribute(name, value);
  const before = [...node.childNodes];
  const after = [...next.childNodes];
  while (before.length && after.length && before[0].isEqualNode(after[0])) {
    before.shift();
    after.shift();
  }
  let end = null; // the first of those behind
  while (before.length && after.length && before.at(-1).isEqualNode(after.at(-1))) {
    end = before.pop();
    after.pop();
  }
  after.forEach((child, index) => (index < before.length ? change(before[index], child) : node.insertBefore(child, end)));
  before.slice(after.length).forEach((child) => child.remove());
}

// Whether an element may become the other: what does something else may not, as somebody may be about to press it.
function isSame(node, other) {
  if (node.nodeType !== Node.ELEMENT_NODE || node.nodeName !== other.nodeName) return false;
  if (node.matches("form, input, select, textarea, button")) return false;
  return ["id", "href"].every((name) => node.getAttribute(name) === other.getAttribute(name));
}

// What finds the same thing in the new markup, wherever it stands there: rows move.
function selectorOf(element) {
  if (element.id) return `#${CSS.escape(element.id)}`;
  const quoted = (name, of = element) => `[${name}="${CSS.escape(of.getAttribute(name))}"]`;
  if (element.hasAttribute("href")) return `a${quoted("href")}`;
  if (element.matches("details[id] > summary")) return `#${CSS.escape(element.parentElement.id)} > summary`;
  return element.form?.hasAttribute("action") ? `form${quoted("action", element.form)} button` : null;
}

const catchUp = () => waiting && getSelection().isCollapsed && refresh();
for (const type of ["focusout", "toggle", "selectionchange"]) {
  document.addEventListener(type, () => setTimeout(catchUp), true);
}

// ---- Listening -----------------------------------------------------------------------------------------------------

let source = null;

function listen() {
  source?.close();
  // A browser has few connections to one host: pages that nobody sees must not hold them.
  source = main?.dataset.live && !document.hidden ? new EventSource(main.dataset.live) : null;
  if (source === null) return;
  source.addEventListener("changed", refresh);
  source.addEventListener("open", () => {
    state.textContent = "";
    refresh(); // it may have changed since the page was made, or while we were not there
  });
  source.addEventListener("error", ({ target }) => {
    setTimeout(() => {
      if (target === source && target.readyState !== EventSource.OPEN) state.textContent = "Offline, reconnecting …";
    }, OFFLINE_AFTER_MS);
    if (target.readyState !== EventSource.CLOSED) return;
    // A browser gives up where it is refused: the session has ended, say, which a refresh will show.
    refresh();
    setTimeout(() => target === source && listen(), RETRY_MS);
  });
}

function shownOrHidden() {
  listen();
  if (main?.dataset.refreshS && source === null) refresh();
}

listen();
if (main?.dataset.refreshS) setInterval(refresh, Number(main.dataset.refreshS) * 1000);
document.addEventListener("visibilitychange", shownOrHidden);
addEventListener("pagehide", () => source?.close());
addEventListener("pageshow", (event) => event.persisted && shownOrHidden());

// ---- Clocks --------------------------------------------------------------------------------------------------------

// As models/times.py writes durations.
const UNITS = [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]];

function duration(seconds) {
  for (const [size, unit, partSize, part] of UNITS) {
    if (seconds < size) continue;
    const rest = Math.floor((seconds % size) / partSize);
    return `${Math.floor(seconds / size)} ${unit}${rest ? ` ${rest} ${part}` : ""}`;
  }
  return `${seconds} s`;
}

function tick() {
  for (const time of document.querySelectorAll("time[data-since]")) {
    const seconds = Math.floor((Date.now() + skewMs - Date.parse(time.dateTime)) / 1000);
    time.textContent = duration(Math.max(0, seconds));
  }
}

setInterval(tick, 1000);

// ---- Keys ----------------------------------------------------------------------------------------------------------

const PLACES = { o: "/", j: "/jobs", e: "/extractors", d: "/datasets", l: "/dead-letters" };
let wentAt = -Infinity; // when g was pressed

function step(by) {
  const rows = [...document.querySelectorAll("[data-row]")].filter((row) => row.getClientRects().length);
  let here = rows.indexOf(document.activeElement);
  // Who has opened a row goes on from there: the page's address says which one it was.
  const opened = here === -1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (opened) here = rows.findIndex((row) => opened.contains(row));
  (here === -1 ? rows.at(by > 0 ? 0 : -1) : rows[here + by])?.focus(); // which scrolls to it, too
}

const KEYS = {
  "/": () => document.getElementById("find")?.select(),
  "?": () => document.getElementById("keys")?.showModal(),
  j: () => step(1),
  k: () => step(-1),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.target.closest?.("input, select, textarea, [contenteditable]")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (document.querySelector("dialog[open]")) return;
  const isPair = event.timeStamp - wentAt < KEY_PAIR_MS;
  wentAt = event.key === "g" ? event.timeStamp : -Infinity;
  if (isPair && event.key in PLACES) location.assign(PLACES[event.key]);
  else if (event.key in KEYS) KEYS[event.key]();
  else return;
  event.preventDefault();
});

// ---- Changes that are asked about first ----------------------------------------------------------------------------

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});
