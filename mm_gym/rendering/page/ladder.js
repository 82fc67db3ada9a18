"use strict";
// The order book at one decision: a row per price, with the agent's orders and the latest trades.

class Ladder {
  constructor(maker, box, note, nRows) {
    this.maker = maker;
    this.note = note;  // names the agent's orders beyond the rows
    this.nRows = nRows;
    const head = ["own (ahead)", "bid", "price", "traded", "ask", "own (ahead)"];
    const body = make("tbody");
    this.rows = Array.from({ length: nRows }, () => {
      const cells = ["own bid", "lots bid", "price", "traded", "lots ask", "own ask"].map(
        (name) => make("td", { class: name }));
      body.append(make("tr", {}, ...cells));
      return cells;
    });
    box.append(make("table", { class: "ladder" },
      make("caption", { class: "hidden" }, `Order book of ${maker.label}`),
      make("thead", {}, make("tr", {}, ...head.map((text) => make("th", { scope: "col" }, text)))),
      body));
  }

  /** Show the book at a decision, with the price `centre` in the middle. */
  update(row, centre, truth) {
    const { decisions } = this.maker;
    const mid = decisions.mid[row];
    const top = centre + (this.nRows >> 1);
    const book = [this.levels(row, BID), this.levels(row, ASK)];
    const most = Math.max(4, ...book.flatMap((levels) => [...levels.values()]));
    const traded = this.trades(row);
    const value = Math.round(decisions.efficient_price[row]);
    this.rows.forEach((cells, index) => {
      const price = top - index;
      show(cells[2], number(price));
      dress(cells[2], "price"
        + (truth && price === value ? " value" : "")
        + (price === Math.floor(mid) && mid !== price ? " above-mid" : "")
        + (price === mid ? " at-mid" : ""));
      const trade = traded.get(price);
      show(cells[3], trade ? `${trade.side === BID ? "▲" : "▼"}${number(trade.lots)}` : "");
      dress(cells[3], `traded ${trade && trade.side === BID ? "buy" : "sell"}`);
      for (const side of [BID, ASK]) this.showSide(cells, side, price, row, book[side].get(price) ?? 0, most);
    });
    show(this.note, this.beyond(row, top));
  }

  showSide(cells, side, price, row, lots, most) {
    const { decisions } = this.maker;
    const place = 2 * row + side;
    const own = decisions.quote_price[place] === price ? decisions.quote_lots[place] : 0;
    const ahead = decisions.quote_lots_ahead[place];
    const [ownCell, lotsCell] = side === BID ? [cells[0], cells[1]] : [cells[5], cells[4]];
    show(lotsCell, lots > 0 ? number(lots) : "");
    show(ownCell, own > 0 ? `${number(own)} (${number(ahead)})` : "");
    const name = side === BID ? "bid" : "ask";
    dress(ownCell, `own ${name}${own > 0 ? " quoting" : ""}`);
    dress(lotsCell, `lots ${name}${own > 0 && ahead === 0 ? " mine" : ""}`);
    const share = (x) => `${(100 * x / most).toFixed(1)}%`;
    const bar = lots === 0 ? "" : `linear-gradient(to ${side === BID ? "left" : "right"}, `
      + (own > 0
        ? `var(--pale) ${share(ahead)}, var(--ink) ${share(ahead)} ${share(ahead + own)}, `
          + `var(--pale) ${share(ahead + own)} `
        : "var(--pale) ")
      + `${share(lots)}, transparent ${share(lots)})`;
    if (lotsCell.bar !== bar) lotsCell.style.backgroundImage = lotsCell.bar = bar;
  }

  levels(row, side) {
    const { level_price: prices, level_lots: lots, time } = this.maker.decisions;
    const depth = lots.length / time.length / 2;
    const found = new Map();
    for (let place = (2 * row + side) * depth; place < (2 * row + side + 1) * depth; place++) {
      if (lots[place] > 0) found.set(prices[place], lots[place]);
    }
    const quote = 2 * row + side;  // an order of the agent may rest beyond the recorded levels
    const own = this.maker.decisions.quote_lots[quote], price = this.maker.decisions.quote_price[quote];
    if (own > 0 && !found.has(price)) found.set(price, own + this.maker.decisions.quote_lots_ahead[quote]);
    return found;
  }

  /** Trades of the interval before the decision, summed by price. The last side wins. */
  trades(row) {
    const { trades, decisions } = this.maker;
    const found = new Map();
    if (row === 0) return found;
    const end = rowAt(trades.time, decisions.time[row]);
    for (let trade = rowAt(trades.time, decisions.time[row - 1]) + 1; trade <= end; trade++) {
      const lots = (found.get(trades.price[trade])?.lots ?? 0) + trades.lots[trade];
      found.set(trades.price[trade], { lots, side: trades.side[trade] });
    }
    return found;
  }

  beyond(row, top) {
    const { quote_price: prices, quote_lots: lots } = this.maker.decisions;
    const isShown = (price) => price <= top && price > top - this.nRows;
    return [BID, ASK].filter((side) => lots[2 * row + side] > 0 && !isShown(prices[2 * row + side]))
      .map((side) => `own ${side === BID ? "bid" : "ask"} at ${number(prices[2 * row + side])}`)
      .join(", ");
  }
}
