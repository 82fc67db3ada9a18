"use strict";
// The recordings, decoded. Times are in seconds, prices in ticks, money in ticks x lots.

const BID = 0, ASK = 1;
const TYPES = {
  u8: Uint8Array, u16: Uint16Array, u32: Uint32Array, f32: Float32Array, f64: Float64Array,
};

/** Numbers of a column: base + step x whole numbers, or base + floats. */
function decode(column) {
  const bytes = Uint8Array.from(atob(column.data), (letter) => letter.charCodeAt(0));
  return Float64Array.from(new TYPES[column.type](bytes.buffer), (x) => column.base + column.step * x);
}

function decodeAll(columns) {
  return Object.fromEntries(Object.entries(columns).map(([name, column]) => [name, decode(column)]));
}

/** The content of the page, with decoded recordings in `makers`. */
function readPage() {
  const page = JSON.parse(document.getElementById("data").textContent);
  const makers = page.makers.map((maker, number) => {
    const tables = { number, label: maker.label };
    for (const name of ["decisions", "fills", "path", "trades"]) tables[name] = decodeAll(maker[name]);
    tables.hasTruth = tables.path.efficient_price.some((price) => !Number.isNaN(price));
    tables.quotes = [BID, ASK].map((side) => quotesInForce(tables, side));
    return tables;
  });
  return { ...page, makers };
}

/** Price of the agent's order on one side in the interval before each decision, or null.
 *
 * An order that was filled completely is gone at the decision. Its price is that of the fill.
 */
function quotesInForce({ decisions, fills }, side) {
  const prices = Array.from(decisions.time, (_, row) =>
    decisions.quote_lots[2 * row + side] > 0 ? decisions.quote_price[2 * row + side] : null);
  fills.time.forEach((time, fill) => {
    const row = rowAfter(decisions.time, time);
    if (fills.side[fill] === side && row < prices.length && prices[row] === null) {
      prices[row] = fills.price[fill];
    }
  });
  return prices;
}

/** Index of the last time at or before `time`, or -1. */
function rowAt(times, time) {
  let low = 0, high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] <= time) low = middle + 1; else high = middle;
  }
  return low - 1;
}

/** Index of the first time at or after `time`, or the number of times. */
function rowAfter(times, time) {
  let row = rowAt(times, time);
  while (row >= 0 && times[row] === time) row -= 1;
  return row + 1;
}

const FORMATS = [0, 1, 2].map((digits) => new Intl.NumberFormat("en-US", {
  minimumFractionDigits: digits, maximumFractionDigits: digits,
}));

/** A number with 0, 1 or 2 digits after the point, and "–" where it is unknown. */
function number(x, digits = 0) {
  if (x === null || x === undefined || Number.isNaN(x)) return "–";
  const text = FORMATS[digits].format(Math.abs(x));
  return (x < 0 && /[1-9]/.test(text) ? "−" : "") + text;
}

function signed(x, digits = 0) {
  const text = number(x, digits);
  return text !== "–" && !text.startsWith("−") && /[1-9]/.test(text) ? `+${text}` : text;
}

/** A new element with attributes and children. Text children are never parsed as HTML. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") element.addEventListener("click", value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

// The page writes only what changes: each write costs a layout.

function show(element, text) {
  if (element.shown !== text) element.textContent = element.shown = text;
}

function dress(element, className) {
  if (element.className !== className) element.className = className;
}

const page = readPage();
