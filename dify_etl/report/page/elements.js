// Elements of the page. Texts are only ever put in as text.

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

function note(key, values) {
  return element("p", { class: "faint" }, say(key, values));
}

/** Headline figures: [[key of the label, text], …]. */
function tiles(pairs) {
  return element("dl", { class: "tiles" },
    ...pairs.map(([key, text]) => element("div", { "data-figure": key },
      element("dt", {}, say(key)), element("dd", {}, text))));
}

/** A table of `{id, title, columns: [[heading, kind], …], rows, totals}`; values are raw. */
function table({ id, title, columns, rows, totals = null }) {
  const cell = (tag, value, kind) => element(tag, {
    class: NUMBERS.has(kind) ? "number" : kind,
  }, shown(value, kind));
  const line = (values) => element("tr", {}, ...values.map((value, at) => cell("td", value, columns[at][1])));
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title },
    element("table", { id: `table-${id}` },
      element("caption", {}, title),
      element("thead", {}, element("tr", {}, ...columns.map(([heading, kind]) =>
        element("th", { scope: "col", class: NUMBERS.has(kind) ? "number" : null }, heading)))),
      element("tbody", {}, ...rows.map(line)),
      totals ? element("tfoot", {}, line(totals)) : null));
}

/** A titled table that is open, with a word when it is empty. */
function listing(block) {
  return element("div", {}, element("h3", {}, block.title),
    block.rows.length ? table(block) : note("list.nothing"));
}

/** A listing of rows of which the report holds a part. */
function boundedListing(block, name) {
  const made = listing(block);
  made.append(boundedNote(name, block.rows.length));
  return made;
}

/** How many of all rows the report holds, where that is not all. */
function boundedNote(name, shown) {
  const held = REPORT.tables[name];
  return held.all_rows > held.rows ? note("list.bounded", { shown, held: held.rows, all: held.all_rows }) : "";
}

/** The first rows of a long list, and a line that adds up the rest by `rest(rows)`. */
function topRows(rows, most, rest) {
  return rows.length <= most + 1 ? rows : [...rows.slice(0, most), rest(rows.slice(most))];
}
