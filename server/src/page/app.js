// The racks: what /v1/status says, kept up to date by /v1/events.
import { showDetail } from "./detail.js";
import { bindForms } from "./bind.js";

const $ = (id) => document.getElementById(id);
const STATES = ["expected", "configuring", "ready", "failed", "unknown", "wrong-place", "silent"];
const world = { status: null, sleds: new Map(), unknown: new Map(), cells: new Map() };

export const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
};

const word = (state) => state.replace("-", " ");

// Anybody can ask: it stands beside the state and is none.
export const asked = (sled) => (sled.asked && sled.asked.at > (sled.heard ?? 0) ? `; asked for ${sled.asked.what} since` : "");

// A cell says everything in words; colour repeats it.
const fill = (cell, sled) => {
  const old = cell.dataset.state;
  if (old !== sled.state) {
    cell.classList.remove(old ?? "x");
    cell.classList.add(sled.state);
    cell.dataset.state = sled.state;
  }
  const [, text, flag] = cell.children;
  const shown = sled.code ? `${word(sled.state)} ${sled.code}` : word(sled.state);
  if (text.textContent !== shown) text.textContent = shown;
  const wrong = sled.findings.filter((finding) => finding.kind !== "never-seen");
  flag.textContent = wrong.length ? "!" : "";
  const says = [`bay ${sled.bay}`, sled.sled, shown, ...wrong.map((finding) => finding.detail)].join(", ");
  if (cell.getAttribute("aria-label") !== says) {
    cell.setAttribute("aria-label", says);
    cell.title = `${sled.sled}: ${sled.detail || shown}${asked(sled)}`;
  }
};

const rack = (name, bays, at) => {
  const list = make("ol", { "aria-label": `Bays of rack ${name}` });
  for (let bay = 1; bay <= bays; bay += 1) {
    const sled = at.get(bay);
    const number = make("b", { "aria-hidden": "true" }, String(bay).padStart(2, "0"));
    const item = make("li");
    if (sled) {
      const cell = make("button", { class: "bay", type: "button", tabindex: "-1", "data-sled": sled.sled },
        number, make("span", { class: "word" }), make("span", { class: "flag" }));
      fill(cell, sled);
      world.cells.set(sled.sled, cell);
      item.append(cell);
    } else {
      item.append(make("span", { class: "bay empty" }, number, "empty"));
    }
    list.append(item);
  }
  const first = list.querySelector("button");
  if (first) first.tabIndex = 0;
  return make("section", { class: "rack", "aria-label": `Rack ${name}` }, make("h3", {}, `Rack ${name}`), list);
};

const counts = () => {
  const numbers = Object.fromEntries(STATES.map((state) => [state, 0]));
  for (const sled of world.sleds.values()) numbers[sled.state] += 1;
  numbers.unknown += Math.max(world.unknown.size, world.status.unknown_next ? world.status.counts.unknown : 0);
  const items = STATES.filter((state) => numbers[state]).map((state) => make("li", { class: state }, `${numbers[state]} ${word(state)}`));
  $("counts").replaceChildren(...items);
};

// As many as a page of the server has: what waits longest is shown first, the rest is counted.
const SHOWN = 100;
const unknown = () => {
  const list = $("unknown-list");
  $("unknown").hidden = world.unknown.size === 0;
  $("unknown-more").textContent = world.status.unknown_next ? "There are more; sledos fleet status shows them all." : "";
  // What somebody types in stays, as long as it is about the same.
  const says = (hardware) => [hardware.digest, ...hardware.conflicts.map((conflict) => conflict.digest)].join(" ");
  const kept = new Map();
  for (const item of [...list.children]) {
    const hardware = world.unknown.get(item.dataset.id);
    if (!hardware || says(hardware) !== item.dataset.says) item.remove();
    else kept.set(hardware.id, item);
  }
  for (const hardware of world.unknown.values()) {
    let item = kept.get(hardware.id);
    if (!item) {
      if (list.children.length >= SHOWN) continue;
      item = make("li", { "data-id": hardware.id, "data-says": says(hardware) },
        make("p", {}, make("strong", {}, hardware.id), " ", make("span", { class: "says" })),
        hardware.conflicts.length ? make("p", { class: "warning", role: "alert" },
          `Conflict: ${hardware.conflicts.length + 1} sources say they are this hardware. One of them is not.`) : null,
        make("button", { class: "plain", type: "button", onclick: () => show(hardware.id) }, `Show ${hardware.id}`),
        ...(world.status.can_bind ? bindForms(hardware, world) : []));
      list.append(item);
    }
    item.querySelector(".says").textContent = hardware.detail + (hardware.address ? ` (${hardware.address})` : "");
  }
};

const draw = (status) => {
  Object.assign(world, { status, sleds: new Map(), unknown: new Map(), cells: new Map() });
  document.title = `${status.fleet}: racks`;
  $("fleet").textContent = status.fleet;
  $("problem").hidden = !status.problem;
  $("problem-text").textContent = status.problem ?? "";
  const racks = new Map(Object.keys(status.racks).map((name) => [name, new Map()]));
  for (const sled of status.sleds) {
    world.sleds.set(sled.sled, sled);
    if (!racks.has(sled.rack)) racks.set(sled.rack, new Map());
    racks.get(sled.rack).set(sled.bay, sled);
  }
  for (const hardware of status.unknown) world.unknown.set(hardware.id, hardware);
  const focused = document.activeElement?.dataset?.sled;
  const names = [...racks.keys()].sort(new Intl.Collator("en", { numeric: true }).compare);
  $("racks").replaceChildren(...names.map((name) => rack(name, Math.max(status.racks[name] ?? 0, ...racks.get(name).keys()), racks.get(name))));
  if (focused) world.cells.get(focused)?.focus();
  counts();
  unknown();
};

// Screen readers hear what has changed, not each of a thousand changes.
let news = [];
let telling = null;
const tell = (text) => {
  news.push(text);
  telling ??= setTimeout(() => {
    $("news").textContent = news.length > 4 ? `${news.length} sleds have changed their state` : news.join(". ");
    [news, telling] = [[], null];
  }, 2000);
};

const update = ({ sleds, unknown: strangers, gone }) => {
  for (const sled of sleds) {
    const old = world.sleds.get(sled.sled);
    const cell = world.cells.get(sled.sled);
    if (!cell) { reload(); return; }
    world.sleds.set(sled.sled, sled);
    fill(cell, sled);
    if (old?.state !== sled.state) tell(`${sled.sled} is ${word(sled.state)}`);
  }
  for (const hardware of strangers) {
    if (!world.unknown.has(hardware.id) && world.unknown.size < SHOWN) tell(`unknown hardware ${hardware.id}`);
    if (world.unknown.has(hardware.id) || world.unknown.size < SHOWN) world.unknown.set(hardware.id, hardware);
    else later();
  }
  for (const id of gone) world.unknown.delete(id);
  counts();
  unknown();
};

let loading = null;
const reload = () => {
  loading ??= fetch("/v1/status").then((response) => { if (!response.ok) throw new Error(response.status); return response.json(); })
    .then((status) => { draw(status); return true; })
    .catch(() => { $("link").textContent = "the server does not answer; trying again"; return false; })
    .finally(() => { loading = null; });
  return loading;
};
// Many changes are one question.
let due = null;
const later = () => { due ??= setTimeout(() => { due = null; reload(); }, 2000); };

const show = (id) => showDetail(id, $("detail"), $("detail-title"), $("detail-body"));

// Within a rack one cell can be reached by Tab; arrows move that.
$("racks").addEventListener("keydown", (event) => {
  const step = { ArrowUp: 1, ArrowDown: -1, Home: "first", End: "last" }[event.key];
  const cell = event.target.closest("button.bay");
  if (step === undefined || !cell) return;
  const cells = [...cell.closest("ol").querySelectorAll("button.bay")];
  const at = cells.indexOf(cell);
  const to = step === "first" ? 0 : step === "last" ? cells.length - 1 : Math.min(Math.max(at + step, 0), cells.length - 1);
  cell.tabIndex = -1;
  cells[to].tabIndex = 0;
  cells[to].focus();
  event.preventDefault();
});
$("racks").addEventListener("click", (event) => {
  const cell = event.target.closest("button.bay");
  if (cell) show(cell.dataset.sled);
});

// State first, so that the page is good for something when no stream can be had. A stream that
// ends by itself is opened again by the browser; one that is refused is
// not: then the page asks every few seconds, and tries again.
const AGAIN = 3000;
const listen = async () => {
  if (!(await reload())) { setTimeout(listen, AGAIN); return; }
  const events = new EventSource("/v1/events");
  events.onopen = () => { $("link").textContent = "live"; reload(); };
  events.onerror = () => {
    const refused = events.readyState === EventSource.CLOSED;
    $("link").textContent = refused ? "not live: asks every few seconds" : "the server does not answer; trying again";
    if (refused) setTimeout(listen, AGAIN);
  };
  events.addEventListener("sleds", (event) => { if (world.status) update(JSON.parse(event.data)); });
  events.addEventListener("reload", reload);
};
listen();
