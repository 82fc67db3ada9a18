"use strict";
// The three charts of a maker, drawn by uPlot: price, inventory and PnL.

let colours = {};

/** Read the page's colours. Call it after a change between light and dark. */
function readColours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["bid", "ask", "noise", "informed", "spread", "inventory", "fees", "total",
    "background", "panel", "grid", "muted", "text"]) {
    colours[name] = style.getPropertyValue(`--${name}`).trim();
  }
}

const FONT = "11px system-ui, sans-serif";
const AXIS_WIDTH = 54;
const MANY_ROWS = 2000;  // events in the window, beyond which marks are small
const STEPPED = uPlot.paths.stepped({ align: 1 });
const colour = (name) => () => colours[name];
const faint = (name, alpha) => () => colours[name] + alpha;

/** uPlot's data of the price and inventory charts: a row per event, two per decision.
 *
 * The two rows of a decision are the quotes of the interval before it and of the one after it.
 */
function eventRows({ decisions, fills, path, quotes }) {
  const rows = [];
  path.time.forEach((time, index) => rows.push([time, 0, index]));
  fills.time.forEach((time, index) => rows.push([time, 1, index]));
  decisions.time.forEach((time, index) => rows.push([time, 2, index], [time, 3, index]));
  rows.sort((a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2]);
  const columns = {
    time: [], mid: [], value: [], bid: [], ask: [], long: [], short: [],
    fills: FILL_SERIES.map(() => []),
  };
  let last = 0, interval = 0;
  for (const [time, kind, index] of rows) {
    if (kind === 0) last = index;
    if (kind === 3) interval = index + 1;
    columns.time.push(time);
    columns.mid.push(path.mid[last]);
    columns.value.push(Number.isNaN(path.efficient_price[last]) ? null : path.efficient_price[last]);
    columns.bid.push(quotes[BID][interval] ?? null);
    columns.ask.push(quotes[ASK][interval] ?? null);
    columns.long.push(Math.max(path.inventory[last], 0));
    columns.short.push(Math.min(path.inventory[last], 0));
    const series = kind === 1 ? fillSeries(fills, index) : -1;
    columns.fills.forEach((column, s) => column.push(s === series ? fills.price[index] : null));
  }
  return columns;
}

// Fills by side and by who took: the shape shows the side, the colour and the filling the taker.
const FILL_SERIES = [BID, ASK].flatMap((side) => ["noise", "informed", "unknown"].map(
  (group) => ({ side, group })));

/** The colour group of a taker. Takers that only look informed count as noise. */
function groupOf(kind) {
  return kind < 0 ? "unknown" : page.informed.includes(kind) ? "informed" : "noise";
}

function fillSeries(fills, index) {
  return FILL_SERIES.findIndex(({ side, group }) =>
    side === fills.side[index] && group === groupOf(fills.taker[index]));
}

const GROUP_COLOUR = { noise: "noise", informed: "informed", unknown: "total" };

/** Path builder for uPlot: a triangle per fill, upwards where the agent bought. */
function triangles(side) {
  return (chart, series, first, last) => {
    const path = new Path2D();
    const size = (last - first > MANY_ROWS ? 4.5 : 6.5) * uPlot.pxRatio, up = side === BID ? 1 : -1;
    for (let row = first; row <= last; row++) {
      const price = chart.data[series][row];
      if (price === null) continue;
      const x = chart.valToPos(chart.data[0][row], "x", true);
      const y = chart.valToPos(price, "y", true);
      path.moveTo(x, y - up * size);
      path.lineTo(x + size * 0.87, y + up * size * 0.6);
      path.lineTo(x - size * 0.87, y + up * size * 0.6);
      path.closePath();
    }
    const clip = new Path2D();
    const { left, top, width, height } = chart.bbox;
    clip.rect(left - size, top - size, width + 2 * size, height + 2 * size);
    return { stroke: path, fill: path, clip, flags: 3 };
  };
}

function pointsOf({ side, group }) {
  const ink = colour(GROUP_COLOUR[group]);
  return {
    paths: () => null,
    points: {
      show: true, size: 13, width: 1.5, paths: triangles(side), stroke: ink,
      fill: group === "noise" ? colour("background") : ink,
    },
  };
}

const line = (ink, width, more = {}) => ({
  stroke: colour(ink), width, paths: STEPPED, points: { show: false }, ...more,
});

function axes(showTime) {
  const common = { font: FONT, stroke: colour("muted"), grid: { stroke: faint("grid", "99"), width: 1 } };
  return [
    {
      ...common, size: showTime ? 26 : 6, space: 60, ticks: { show: false },
      values: (_, splits) => splits.map((time) => (showTime ? `${number(time)} s` : "")),
    },
    {
      ...common, size: AXIS_WIDTH, space: showTime ? 28 : 20, ticks: { show: false }, gap: 6,
      incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6],
      values: (_, splits) => splits.map((value) => number(value)),
    },
  ];
}

function options(view, showTime, range, series, onCursor) {
  return {
    width: 300, height: 100, legend: { show: false }, axes: axes(showTime), padding: [8, 22, 0, 0],
    scales: { x: { time: false, range: () => view.window }, y: { range } },
    series: [{}, ...series],
    cursor: {
      y: false, points: { show: false }, drag: { x: false, y: false, setScale: false },
      sync: { key: "replay", scales: ["x", null] },
    },
    hooks: { setCursor: [onCursor] },
  };
}

/** Make the charts of a maker.
 *
 * Args: `view` has the visible window and the ranges of y, which all makers share. `onCursor` is
 * called with the time under the cursor, or null.
 */
function makeCharts(maker, view, boxes, onCursor) {
  const rows = eventRows(maker);
  const atCursor = (chart) => onCursor(
    chart.cursor.left >= 0 ? chart.posToVal(chart.cursor.left, "x") : null);
  const price = new uPlot({
    ...options(view, false, () => view.prices, [
      line("total", 1.25),
      line("total", 1.25, { dash: [5, 4], alpha: 0.8, show: view.truth }),
      line("bid", 1.75),
      line("ask", 1.75),
      ...FILL_SERIES.map(pointsOf),
    ], atCursor),
    bands: [{ series: [4, 3], fill: faint("muted", "1c") }],
  }, [rows.time, rows.mid, rows.value, rows.bid, rows.ask, ...rows.fills], boxes.price);
  const held = (ink) => line(ink, 1.25, { fill: faint(ink, "55"), fillTo: () => 0 });
  const inventory = new uPlot(
    options(view, false, () => view.inventories, [held("bid"), held("ask")], atCursor),
    [rows.time, rows.long, rows.short], boxes.inventory);
  const { time, spread_pnl, inventory_pnl, pnl } = maker.decisions;
  const pnlChart = new uPlot(
    options(view, true, () => view.pnls, [
      line("fees", 1.25, { dash: [2, 3], paths: undefined }),
      line("spread", 1.5, { paths: undefined }),
      line("inventory", 1.5, { paths: undefined }),
      line("total", 2.25, { paths: undefined }),
    ], atCursor),
    [time, costs(maker), spread_pnl, inventory_pnl, pnl].map((column) => Array.from(column)),
    boxes.pnl);
  return { price, inventory, pnl: pnlChart };
}

/** Fees and the cost of the close-out, as a part of PnL. */
function costs({ decisions }) {
  return decisions.fees.map((fees, row) => 0 - fees - decisions.close_out[row]);
}
