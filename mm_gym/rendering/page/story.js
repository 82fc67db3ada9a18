"use strict";
// The story of one fill, and the list of the latest fills.

const BLOTTER_ROWS = 10;
const SHOWN_HORIZONS = [5, 50];  // [s] in the list of fills; the story shows all

const symbol = (side) => (side === BID ? "▲" : "▼");

/** A symbol in the shape and the colour of the fill's mark in the chart. */
function mark(fills, index) {
  const group = groupOf(fills.taker[index]);
  const shape = group === "noise" ? (fills.side[index] === BID ? "△" : "▽") : symbol(fills.side[index]);
  return make("span", { class: `mark ${group}`, "aria-hidden": "true" }, shape);
}

function storyOf({ fills }, index, horizons) {
  const bought = fills.side[index] === BID;
  const at = (name) => fills[name][index];
  const facts = [
    ["Counterparty", `${page.kinds[at("taker")] ?? "unknown"} taker, ${bought ? "sold" : "bought"}`, "taker"],
    ["Signal", `${signed(at("signal"), 2)}${signalWord(at("signal"), bought)}`, "signal"],
    ["Time in queue", Number.isNaN(at("waited")) ? "–" : `${number(at("waited"), 1)} s`, "waited"],
    ["Lots ahead on arrival", number(at("lots_ahead_at_arrival")), "ahead"],
    ["Mid just before", number(at("mid"), 1), "mid"],
    ["Efficient price", number(at("efficient_price"), 2), "value"],
    ["Inventory after", signed(at("inventory")), "inventory"],
  ];
  const cells = (name) => horizons.map((horizon, column) => {
    const markout = fills[name][index * horizons.length + column];
    return make("td", { class: markout < 0 ? "loss" : "gain" }, signed(markout, 1));
  });
  return [
    make("h4", {}, mark(fills, index), ` ${bought ? "Bought" : "Sold"} ${number(at("lots"))} at `
      + `${number(at("price"))}`, make("small", {}, `${number(at("time"), 1)} s`)),
    make("dl", {}, ...facts.flatMap(([name, text, id]) => [
      make("dt", {}, name), make("dd", { "data-fact": id }, text)])),
    make("table", {},
      make("thead", {}, make("tr", {}, make("th", {}, "Markout [ticks]"),
        ...horizons.map((horizon) => make("th", { scope: "col" }, `${horizon} s`)))),
      make("tbody", {},
        make("tr", { "data-against": "mid" }, make("th", { scope: "row" }, "against mid"), ...cells("markout_mid")),
        make("tr", { "data-against": "value" }, make("th", { scope: "row" }, "against V"), ...cells("markout_value")))),
    make("p", {}, "+ is good for the maker"),
  ];
}

/** Which way the price was expected to move, seen from the maker. */
function signalWord(signal, bought) {
  if (Number.isNaN(signal) || Math.abs(signal) < 0.5) return "";
  return (signal > 0) === bought ? ", favourable" : ", adverse";
}

class Blotter {
  constructor(maker, box, horizons, onChoice) {
    this.maker = maker;
    this.horizons = horizons;
    this.onChoice = onChoice;
    this.body = make("tbody");
    this.shown = null;
    box.append(make("table", { class: "blotter" },
      make("caption", { class: "hidden" }, `Latest fills of ${maker.label}`),
      make("thead", {}, make("tr", {}, ...["time", "fill", "taker", "after 5 s", "after 50 s"].map(
        (text) => make("th", { scope: "col" }, text)))),
      this.body));
  }

  /** List the latest fills, newest first. */
  update(time, chosen) {
    const { fills } = this.maker;
    const last = rowAt(fills.time, time);
    const key = `${last} ${chosen}`;
    if (this.shown === key) return;
    this.shown = key;
    const rows = [];
    for (let index = last; index > last - BLOTTER_ROWS && index >= 0; index--) {
      const markouts = SHOWN_HORIZONS.map((horizon) => {
        const column = this.horizons.indexOf(horizon);
        const markout = fills.markout_mid[index * this.horizons.length + column];
        return make("td", { class: markout < 0 ? "loss" : "gain" }, signed(markout, 1));
      });
      const button = make("button", { type: "button", onclick: () => this.onChoice(index) },
        mark(fills, index), ` ${number(fills.lots[index])} at ${number(fills.price[index])}`);
      rows.push(make("tr", { class: index === chosen ? "chosen" : "" },
        make("td", {}, number(fills.time[index], 1)),
        make("td", {}, button),
        make("td", {}, (page.kinds[fills.taker[index]] ?? "unknown").replace(" informed", "")),
        ...markouts));
    }
    if (!rows.length) rows.push(make("tr", {}, make("td", { colspan: 5, class: "none" }, "no fill yet")));
    this.body.replaceChildren(...rows);
  }
}
