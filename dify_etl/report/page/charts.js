// Charts by Apache ECharts; behind each the table of its figures.

// Okabe and Ito's colours, which colour-blind people tell apart; patterns and shapes do it as well.
const COLOURS = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#F0E442", "#8C8C8C"];
const SYMBOLS = ["circle", "rect", "diamond", "arrow"];
let charts = [];

function forgetCharts() {
  charts.forEach(({ chart }) => chart.dispose());
  charts = [];
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Braces have a meaning in ECharts' rich text; its labels are one short line. */
function label(text, most = 28) {
  const line = String(text).replace(/\s+/g, " ").replace(/[{}]/g, (brace) => (brace === "{" ? "｛" : "｝"));
  const letters = [...line];
  return letters.length > most ? letters.slice(0, most - 1).join("") + "…" : line;
}

/** A chart and its table. `{id, title, form: bar|line|rows, categories, series, partial, full, isOpen}`:
 * series are `{name, values, kind}`; `partial` says by category what its figures lack; `full` is a
 * table that tells more than the chart, and takes the place of its own.
 */
function chart(block) {
  const place = element("div", { class: "chart", id: `chart-${block.id}` });
  if (block.form === "rows") place.style.height = `${6 + 2 * block.categories.length}rem`;
  if (block.categories.length) charts.push({ place, block, chart: null });
  const behind = block.full ? table(block.full) : tableBehind(block);
  return element("div", {}, element("h3", {}, block.title), ...(block.categories.length ? [place] : [note("list.nothing")]),
    element("details", { open: block.isOpen === true }, element("summary", {}, say("table", { title: block.title })), behind));
}

function tableBehind(block) {
  const { id, title, categories, series, partial, heading } = block;
  const rows = categories.map((category, at) => [
    category, ...series.map((one) => one.values[at]), ...(partial ? [partialWord(partial.get(category))] : []),
  ]);
  const columns = [[heading, "text"], ...series.map((one) => [one.name, one.kind])];
  if (partial) columns.push([say("state"), "text"]);
  return table({ id, title, columns, rows });
}

function partialWord(state) {
  return state === undefined ? say("state.proven") : say(`state.${state}`);
}

/** Draw what was made; the elements stand in the page by now. */
function drawCharts() {
  for (const one of charts) {
    one.chart = echarts.init(one.place, null, { renderer: "canvas" });
    one.chart.setOption(options(one.block));
  }
}

function options(block) {
  const ink = colour("--ink");
  const isRows = block.form === "rows";
  const names = {
    type: "category", data: block.categories.map(String), inverse: isRows,
    axisLabel: { color: ink, hideOverlap: true, formatter: (text) => (isRows ? label(text, 22) : label(text)) },
    axisLine: { lineStyle: { color: colour("--faint") } },
  };
  const numbers = {
    type: "value", axisLabel: { color: ink, hideOverlap: true },
    splitLine: { lineStyle: { color: colour("--line") } },
    minInterval: block.series.every((one) => one.kind === "count") ? 1 : 0,
  };
  return {
    animation: false, color: COLOURS, textStyle: { color: ink, fontFamily: getComputedStyle(document.body).fontFamily },
    aria: { enabled: true, label: { description: say("chart", { title: block.title }) }, decal: { show: block.stacked === true } },
    grid: { left: 8, right: 16, top: 40, bottom: 8, containLabel: true },
    legend: { show: true, type: "scroll", textStyle: { color: ink }, pageTextStyle: { color: ink }, top: 0, formatter: (text) => label(text, 48) },
    tooltip: {
      trigger: "axis", renderMode: "richText", confine: true, backgroundColor: colour("--panel"),
      borderColor: colour("--faint"), textStyle: { color: ink }, formatter: (points) => hint(block, points),
    },
    xAxis: isRows ? numbers : names, yAxis: isRows ? names : numbers,
    series: [...block.series.map((one, at) => drawnSeries(block, one, at)), ...partialSeries(block)],
  };
}

function drawnSeries(block, one, at) {
  return {
    name: one.name, type: block.form === "line" ? "line" : "bar",
    stack: block.stacked ? "all" : undefined, barMaxWidth: 28,
    symbol: SYMBOLS[at % SYMBOLS.length], symbolSize: 6, showSymbol: block.categories.length < 100,
    lineStyle: { type: ["solid", "dashed", "dotted"][at % 3] },
    data: one.values.map((value) => drawn(value, one.kind)),
  };
}

/** A triangle on the axis under each day whose figures may be too small or still move. */
function partialSeries(block) {
  if (!block.partial || !block.categories.some((day) => block.partial.has(day))) return [];
  return [{
    name: say("mark.partial"), type: "scatter", symbol: "triangle", symbolSize: 8,
    itemStyle: { color: colour("--warn") }, tooltip: { show: false },
    data: block.categories.map((day) => (block.partial.has(day) ? 0 : null)), z: 5,
  }];
}

function hint(block, points) {
  const at = points[0].dataIndex;
  const category = block.categories[at];
  const lines = block.series.map((one) => `${label(one.name)}: ${shown(one.values[at], one.kind)}`);
  const state = block.partial?.has(category) ? [partialWord(block.partial.get(category))] : [];
  return [label(category, 60), ...lines, ...state].join("\n");
}

function fitCharts() {
  charts.forEach(({ chart }) => chart?.resize());
}
