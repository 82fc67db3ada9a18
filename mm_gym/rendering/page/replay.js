"use strict";
// The page: the clock, its controls, and a panel per maker.

const HOVER = 16;  // [px] from a fill
// A window stays while the present is in this part of it. Then it moves, with the present at NOW.
const STAYS = [0.1, 0.85], NOW = 0.6;
const NARROW = matchMedia("(max-width: 700px)");  // one maker at a time, as in the style sheet
const LADDER_ROWS = NARROW.matches ? 15 : 21;
const PRICE_STEP = 5;  // [ticks] the range of the price chart changes in such steps

const makers = page.makers;
const clock = makers.reduce((a, b) => (b.decisions.time.length > a.decisions.time.length ? b : a))
  .decisions.time;
const last = clock.length - 1;
const $ = (id) => document.getElementById(id);

const view = {
  window: [clock[0], clock[last]],
  prices: [0, 1],
  inventories: [-1, 1],
  pnls: [-1, 1],
  truth: false,
};
let now = 0, playing = false, active = 0;
let frame = 0;  // the next frame of play
let centre = NaN;  // [ticks] price in the middle of every ladder

/** Keep the prices of the ladders in place until the mid comes near an edge. */
function setCentre() {
  const { time, mid } = makers[0].decisions;
  const price = mid[Math.max(rowAt(time, clock[now]), 0)];
  if (!(Math.abs(price - centre) <= 0.3 * LADDER_ROWS)) centre = Math.floor(price);
}

/** A range around `low` and `high` that ends at multiples of `step`, so that it seldom changes. */
function rounded(low, high, step) {
  return [Math.floor(low / step) * step, Math.ceil(high / step) * step];
}

/** Set the visible window around the present, and the ranges of y in it, the same for all makers. */
function setWindow() {
  const length = Number($("window").value) * (clock[1] - clock[0] || 1);
  const first = clock[0], end = clock[last];
  const before = JSON.stringify(view);
  if (!length || length >= end - first) view.window = [first, end];
  else {
    const old = view.window[0], place = (clock[now] - old) / length;
    const stays = view.window[1] === old + length && STAYS[0] <= place && place <= STAYS[1];
    const start = stays ? old : Math.min(Math.max(clock[now] - NOW * length, first), end - length);
    view.window = [start, start + length];
  }
  const [from, to] = view.window;
  let low = Infinity, high = -Infinity, most = 2, lowest = 0, highest = 10;
  for (const { decisions, quotes, path } of makers) {
    const take = (x) => {
      if (x !== null && x < low) low = x;
      if (x !== null && x > high) high = x;
    };
    for (let row = Math.max(rowAt(path.time, from), 0); row <= rowAt(path.time, to); row++) {
      take(path.mid[row]);
      if (view.truth) take(path.efficient_price[row]);
    }
    for (let row = rowAfter(decisions.time, from); row <= rowAt(decisions.time, to); row++) {
      take(quotes[BID][row]);
      take(quotes[ASK][row]);
      const { pnl, spread_pnl, inventory_pnl, inventory } = decisions;
      most = Math.max(most, Math.abs(inventory[row]));
      lowest = Math.min(lowest, pnl[row], spread_pnl[row], inventory_pnl[row]);
      highest = Math.max(highest, pnl[row], spread_pnl[row], inventory_pnl[row]);
    }
  }
  view.prices = rounded(low - 1, high + 1, PRICE_STEP);
  view.inventories = rounded(-most, most, 2);
  view.pnls = rounded(lowest, highest + 1, 10 ** Math.floor(Math.log10(highest - lowest)) / 2);
  return JSON.stringify(view) !== before;
}

// ------------------------------------------------------------------------------------------ panels

class Panel {
  constructor(maker) {
    this.maker = maker;
    this.chosen = null;  // a fill whose story stays
    this.hovered = null;
    this.row = 0;
    this.root = $("panel").content.cloneNode(true).firstElementChild;
    $("panels").append(this.root);
    this.root.setAttribute("aria-label", maker.label);
    this.part("title").textContent = maker.label;
    this.story = this.part("story");
    this.over = {};
    this.ladder = new Ladder(maker, this.part("ladder"), this.part("beyond"), LADDER_ROWS);
    this.blotter = new Blotter(maker, this.part("blotter"), page.horizons, (fill) => this.choose(fill));
    this.part("previous").addEventListener("click", () => this.step(-1));
    this.part("next").addEventListener("click", () => this.step(1));
    this.root.addEventListener("pointerdown", () => activate(maker.number));
    this.root.addEventListener("focusin", () => activate(maker.number));
    const boxes = { price: this.part("price"), inventory: this.part("inventory"), pnl: this.part("pnl") };
    this.charts = makeCharts(maker, view, boxes, (time) => this.read(time));
    for (const [name, chart] of Object.entries(this.charts)) {
      this.over[name] = make("div", { class: "future" });
      chart.over.append(this.over[name]);
      new ResizeObserver(() => this.resize(name)).observe(boxes[name]);
      chart.over.addEventListener("click", () => {
        if (name === "price" && this.hovered !== null) this.choose(this.hovered, false);
        else seek(rowAt(clock, chart.posToVal(chart.cursor.left, "x")));
      });
    }
    this.ring = make("div", { class: "ring", hidden: "" });
    this.charts.price.over.append(this.ring);
    this.charts.price.over.addEventListener("mousemove", (event) => this.hover(event));
    this.charts.price.over.addEventListener("mouseleave", () => this.setHovered(null));
    this.read(null);
  }

  part(name) {
    return this.root.querySelector(`[data-part="${name}"]`);
  }

  resize(name) {
    const box = this.charts[name].root.parentElement;
    const { clientWidth: width, clientHeight: height } = box;
    if (width > 0 && height > 0) this.charts[name].setSize({ width, height });
  }

  get isVisible() {
    return !NARROW.matches || active === this.maker.number;
  }

  /** Show the state at the present. */
  update(moved) {
    const { decisions, fills } = this.maker;
    this.row = Math.max(rowAt(decisions.time, clock[now]), 0);
    if (!this.isVisible) {
      this.stale = true;
      return;
    }
    if (moved || this.stale) {
      this.stale = false;
      for (const chart of Object.values(this.charts)) {
        chart.setScale("x", { min: view.window[0], max: view.window[1] });
      }
    }
    const [from, to] = view.window;
    const share = to > from ? Math.min(Math.max((clock[now] - from) / (to - from), 0), 1) : 1;
    for (const over of Object.values(this.over)) over.style.transform = `translateX(${100 * share}%)`;
    this.ladder.update(this.row, centre, view.truth);
    this.blotter.update(clock[now], this.chosen);
    const filled = rowAt(fills.time, clock[now]) + 1;
    let informed = 0;
    for (let fill = 0; fill < filled; fill++) informed += groupOf(fills.taker[fill]) === "informed";
    const knows = fills.taker.every((kind) => kind >= 0);
    show(this.part("kpi-pnl"), signed(decisions.pnl[this.row], 1));
    show(this.part("kpi-objective"), signed(decisions.objective[this.row], 1));
    show(this.part("kpi-inventory"), signed(decisions.inventory[this.row]));
    show(this.part("kpi-fills"), number(filled));
    show(this.part("kpi-informed"), knows ? number(informed) : "–");
    if (this.cursorTime == null) this.read(null);
    this.place();
  }

  /** Write the values at a time next to the names of the lines. */
  read(time) {
    this.cursorTime = time;
    const { decisions, path, quotes } = this.maker;
    const at = time ?? clock[now];
    const event = Math.max(rowAt(path.time, at), 0);
    const row = Math.min(rowAfter(decisions.time, at), decisions.time.length - 1);
    const past = Math.max(rowAt(decisions.time, at), 0);
    show(this.part("mid"), number(path.mid[event], 1));
    show(this.part("value"), number(path.efficient_price[event], 2));
    show(this.part("bid"), number(quotes[BID][row]));
    show(this.part("ask"), number(quotes[ASK][row]));
    show(this.part("held"), signed(path.inventory[event]));
    show(this.part("spread-pnl"), signed(decisions.spread_pnl[past], 1));
    show(this.part("inventory-pnl"), signed(decisions.inventory_pnl[past], 1));
    show(this.part("costs"), signed(0 - decisions.fees[past] - decisions.close_out[past], 1));
    show(this.part("total"), signed(decisions.pnl[past], 1));
    const label = time === null ? "" : `at ${number(time, 1)} s`;
    for (const part of this.root.querySelectorAll(".at")) show(part, label);
  }

  // ------------------------------------------------------------------------------------- fills

  /** Position of a fill in the price chart [px]. */
  position(fill) {
    const { fills } = this.maker, chart = this.charts.price;
    return [chart.valToPos(fills.time[fill], "x"), chart.valToPos(fills.price[fill], "y")];
  }

  hover(event) {
    const { fills } = this.maker;
    const { left, top } = this.charts.price.over.getBoundingClientRect();
    let best = null, least = HOVER ** 2;
    for (let fill = 0; fill < fills.time.length; fill++) {
      if (fills.time[fill] < view.window[0] || fills.time[fill] > view.window[1]) continue;
      const [x, y] = this.position(fill);
      const distance = (x - event.clientX + left) ** 2 + (y - event.clientY + top) ** 2;
      if (distance < least) [best, least] = [fill, distance];
    }
    this.setHovered(best);
  }

  setHovered(fill) {
    if (fill === this.hovered) return;
    this.hovered = fill;
    this.tell();
  }

  /** Keep the story of a fill open. By default, go to the first decision after it. */
  choose(fill, go = true) {
    this.chosen = this.chosen === fill && !go ? null : fill;
    activate(this.maker.number);
    if (fill !== null && go) seek(rowAfter(clock, this.maker.fills.time[fill]), false);
    this.blotter.update(clock[now], this.chosen);
    this.tell();
  }

  /** Choose the next or the previous fill, seen from the chosen one or from the present. */
  step(direction) {
    const { time } = this.maker.fills;
    const from = this.chosen ?? (direction > 0 ? rowAt(time, clock[now]) : rowAt(time, clock[now]) + 1);
    const fill = from + direction;
    if (fill >= 0 && fill < time.length) this.choose(fill);
  }

  tell() {
    const fill = this.hovered ?? this.chosen;
    this.story.hidden = fill === null;
    if (fill !== null) this.story.replaceChildren(...storyOf(this.maker, fill, page.horizons),
      make("button", { type: "button", class: "close", "aria-label": "Close", onclick: () => this.close() }, "×"));
    requestAnimationFrame(() => this.place());
  }

  close() {
    this.chosen = this.hovered = null;
    this.blotter.update(clock[now], null);
    this.tell();
  }

  /** Put the ring on the fill and the story beside it, or below the chart where it is narrow. */
  place() {
    const fill = this.hovered ?? this.chosen;
    const time = fill === null ? NaN : this.maker.fills.time[fill];
    const visible = time >= view.window[0] && time <= view.window[1];
    this.ring.hidden = !visible;
    if (!visible) return;
    const [x, y] = this.position(fill);
    this.ring.style.left = `${x}px`;
    this.ring.style.top = `${y}px`;
    const width = this.charts.price.width, room = this.story.offsetWidth;
    const right = x + AXIS_WIDTH + 18;
    const { offsetTop: top, offsetHeight: height } = this.part("price");
    this.story.style.top = `${width > 2 * room ? top + 8 : top + height + 4}px`;
    this.story.style.left = `${Math.max(right + room < width ? right : right - room - 36, 4)}px`;
  }
}

// ----------------------------------------------------------------------------------------- control

function activate(number) {
  active = number;
  panels.forEach((panel, index) => {
    panel.root.classList.toggle("active", index === number);
    tabs[index].setAttribute("aria-selected", String(index === number));
  });
  panels.filter((panel) => panel.stale).forEach((panel) => panel.update(true));
}

/** Go to a decision. */
function seek(row, forget = true) {
  now = Math.min(Math.max(row, 0), last);
  if (forget) {
    for (const panel of panels) if (panel.chosen !== null) panel.close();
  }
  const moved = setWindow();
  setCentre();
  for (const panel of panels) panel.update(moved);
  const slider = $("time");
  slider.value = String(now);
  slider.style.setProperty("--done", `${100 * now / (last || 1)}%`);
  slider.setAttribute("aria-valuetext", `${number(clock[now], 1)} seconds`);
  show($("clock"), `${number(clock[now], 1)} s`);
  show($("decision"), `${number(now)} / ${number(last)}`);
}

function play(on) {
  if (on && now === last) seek(0);
  playing = on;
  cancelAnimationFrame(frame);
  $("play").setAttribute("aria-pressed", String(on));
  $("play").setAttribute("aria-label", on ? "Pause" : "Play");
  if (on) frame = requestAnimationFrame((time) => run(time, time, 0));
}

/** One frame: `owed` is the part of a decision that is not shown yet. */
function run(time, before, owed) {
  const due = owed + Number($("speed").value) * Math.min(time - before, 250) / 1000;
  if (due >= 1) seek(now + Math.floor(due));
  if (now === last) play(false);
  else frame = requestAnimationFrame((next) => run(next, time, due % 1));
}

function redraw() {
  readColours();
  for (const panel of panels) {
    for (const chart of Object.values(panel.charts)) chart.redraw(false, false);
  }
}

function setTruth(on) {
  view.truth = on;
  $("truth").checked = on;
  document.body.classList.toggle("truth", on);
  for (const panel of panels) panel.charts.price.setSeries(2, { show: on });
  setWindow();
  for (const panel of panels) panel.update(true);
}

function isDark() {
  const theme = document.documentElement.dataset.theme;
  return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

const KEYS = {
  " ": () => play(!playing),
  ArrowLeft: (event) => seek(now - (event.shiftKey ? 10 : 1)),
  ArrowRight: (event) => seek(now + (event.shiftKey ? 10 : 1)),
  PageUp: () => seek(now - 10),
  PageDown: () => seek(now + 10),
  Home: () => seek(0),
  End: () => seek(last),
  n: () => panels[active].step(1),
  p: () => panels[active].step(-1),
  e: () => page.hasTruth && setTruth(!view.truth),
  Escape: () => panels.forEach((panel) => panel.close()),
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
  if (event.key === " " && event.target.tagName === "BUTTON" && event.target.id !== "play") return;
  const digit = Number(event.key);
  if (digit >= 1 && digit <= panels.length) activate(digit - 1);
  else if (KEYS[event.key]) KEYS[event.key](event);
  else return;
  event.preventDefault();
}

readColours();
page.hasTruth = makers.some((maker) => maker.hasTruth);
const tabs = makers.map((maker) => make("button", {
  type: "button", role: "tab", onclick: () => activate(maker.number),
}, maker.label));
$("tabs").append(...tabs);
const panels = makers.map((maker) => new Panel(maker));
document.body.classList.toggle("known", page.hasTruth);
$("time").max = String(last);
$("time").addEventListener("input", (event) => seek(Number(event.target.value)));
$("play").addEventListener("click", () => play(!playing));
$("back").addEventListener("click", () => seek(now - 1));
$("forward").addEventListener("click", () => seek(now + 1));
$("window").addEventListener("change", () => seek(now, false));
$("truth").addEventListener("change", (event) => setTruth(event.target.checked));
$("theme").addEventListener("click", () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  redraw();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
addEventListener("keydown", onKey);
addEventListener("resize", () => panels.forEach((panel) => panel.update(true)));
activate(0);
seek(Number(/^#(\d+)$/.exec(location.hash)?.[1] ?? 0));
