// Sections: completeness at a glance, usage, cost, quality.

const MOST_ROWS = 50;
const MOST_BARS = 10;

/** The line that says whether the figures of the choice can be believed. */
function statusSection() {
  const lines = [];
  const slices = chosen("slices");
  const count = (state) => total(slices.filter((row) => row.state === state), "slices");
  const all = total(slices, "slices");
  const [failed, incomplete, unproven] = ["failed", "incomplete", "unproven"].map(count);
  if (all === 0) lines.push([true, say("status.nothing")]);
  if (failed + incomplete) lines.push([true, say("status.bad", { failed, incomplete, slices: all })]);
  if (unproven) lines.push([true, say("status.unproven", { unproven, slices: all })]);
  if (all && all === count("proven")) lines.push([false, say("status.proven", { slices: all })]);
  lines.push(...statusOfDays(all), ...statusOfLists(), ...statusOfModels());
  const differing = total(chosen("verdicts").filter((row) => row.verdict === "differs"), "figures");
  if (differing) lines.push([true, say("status.differs", { figures: differing })]);
  const isBad = lines.some(([bad]) => bad);
  return element("section", { class: isBad ? "status warn" : "status", id: "status", role: "status", "aria-label": say("status.whole") },
    ...lines.map(([bad, text]) => element("p", { class: bad ? "warn" : null }, text)));
}

function statusOfDays(all) {
  const found = [...partialDays().values()];
  const count = (state) => found.filter((one) => one === state).length;
  const lines = [];
  if (all && count("unread")) lines.push([true, say("status.unread", { days: count("unread") })]);
  if (all && chosen("usage").some((row) => !row.is_settled)) {
    const moving = new Set(chosen("usage").filter((row) => !row.is_settled).map((row) => row.day));
    lines.push([true, say("status.unsettled", { days: moving.size })]);
  }
  return lines;
}

function statusOfLists() {
  const isList = (row) => row.read_through_date === null && row.bad_slices > 0;
  const bad = rowsOf("freshness").filter(isList).filter((row) => choice.app === null || row.app_id === null || row.app_id === choice.app);
  return bad.length ? [[true, say("status.lists", { lists: bad.length })]] : [];
}

function statusOfModels() {
  const unbuilt = rowsOf("unbuilt_models");
  if (!unbuilt.length) return [];
  return [[true, say("status.unbuilt", { models: unbuilt.map((row) => row.model).join(", "), since: unbuilt[0].since })]];
}

/** A series of sums by day. */
function daily(rows, column, name, kind = "count") {
  const byDay = byKey(rows, (row) => row.day);
  return { name, kind, values: days().map((day) => total(byDay.get(day) ?? [], column, kind)) };
}

function dailyChart(block) {
  return chart({ categories: days(), heading: say("day"), partial: partialDays(), ...block });
}

function usageSection() {
  const rows = chosen("usage");
  return [
    tiles(usageTiles(rows)),
    dailyChart({
      id: "usage-daily", title: say("usage.daily"), form: "bar",
      series: [daily(rows, "messages", say("messages")), daily(rows, "workflow_runs", say("runs"))],
    }),
    peopleChart(), note("people.not_a_sum"), usageByApp(rows), peopleWhoAsk(),
  ];
}

function usageTiles(rows) {
  const people = boundedPeople() ? [] : [["people.distinct", grouped(new Set(chosen("activity").map((row) => row.person_id)).size)]];
  const counts = [["messages", "messages"], ["conversations", "conversations_started"], ["runs", "workflow_runs"],
    ["errors.of_messages", "error_messages"], ["likes", "likes"], ["dislikes", "dislikes"]];
  return [...counts.map(([key, column]) => [key, grouped(total(rows, column))]),
    ["tokens", grouped(total(rows, "total_tokens", "tokens"))], ...people, ...priceTiles()];
}

/** What was charged, in each currency by itself. */
function priceTiles() {
  return currencies().map((currency) => {
    const rows = inFigure().filter((row) => row.currency === currency);
    return ["price", `${decimal(total(rows, "price", "money"))} ${currencyName(currency)}`];
  });
}

function peopleChart() {
  const byDay = new Map(chosenWhole("people_per_day").map((row) => [row.day, row]));
  const series = (column, name) => ({ name, kind: "count", values: days().map((day) => byDay.get(day)?.[column] ?? 0) });
  const made = [series("people", say("people"))];
  if (choice.app === null) made.push(series("new_people", say("people.new")));
  return dailyChart({ id: "people-daily", title: say("usage.people"), form: "line", series: made });
}

function usageByApp(rows) {
  const lines = [...byKey(rows, (row) => row.app_id)].map(([id, held]) => [
    appName(id), word("mode", APPS.get(id)?.app_mode ?? null), ...usageSums(held),
  ]).sort(largestFirst((line) => line[2] + line[4], (line) => line[0]));
  const kinds = [["messages", "count"], ["conversations", "count"], ["runs", "count"], ["errors.of_messages", "count"],
    ["unpriced", "count"], ["tokens.prompt", "tokens"], ["tokens.completion", "tokens"], ["tokens", "tokens"]];
  return listing({
    id: "usage-apps", title: say("usage.apps"), rows: lines,
    columns: [[say("app"), "text"], [say("mode"), "text"], ...kinds.map(([key, kind]) => [say(key), kind])],
    totals: [say("total"), null, ...usageSums(rows)],
  });
}

function usageSums(rows) {
  return [
    ...["messages", "conversations_started", "workflow_runs", "error_messages", "unpriced_messages"].map((name) => total(rows, name)),
    ...["prompt_tokens", "completion_tokens", "total_tokens"].map((name) => total(rows, name, "tokens")),
  ];
}

function peopleWhoAsk() {
  const bounded = boundedPeople();
  if (bounded) return bounded;
  const lines = [...byKey(chosen("activity"), (row) => row.person_id)].map(([id, held]) => [
    personName(id), personKind(id), total(held, "messages"), total(held, "workflow_runs"), new Set(held.map((row) => row.day)).size,
  ]).sort(largestFirst((line) => line[2] + line[3], (line) => line[0]));
  const rest = (some) => [say("rows.rest", { more: some.length }), null,
    ...[2, 3].map((at) => some.reduce((held, line) => held + line[at], 0)), null];
  const columns = [["person", "text"], ["kind", "text"], ["messages", "count"], ["runs", "count"], ["days.active", "count"]];
  return listing({
    id: "people", title: say("usage.persons"), rows: topRows(lines, MOST_ROWS, rest), columns: columns.map(([key, kind]) => [say(key), kind]),
  });
}

/** Of too many people the report knows days alone, and says so; null: it knows each. */
function boundedPeople() {
  const rows = REPORT.tables.activity.bounded;
  return rows ? note("people.bounded", { rows }) : null;
}

function inFigure() {
  return chosen("costs").filter((row) => row.is_in_dify_figure);
}

function currencies() {
  const found = new Set(chosen("costs").filter((row) => row.price !== null && row.currency !== null).map((row) => row.currency));
  return [...found].sort();
}

function currencyName(currency) {
  return currency === "unknown" ? say("currency.unknown") : currency;
}

function costSection() {
  const found = currencies();
  const charts = found.flatMap((currency, at) => costCharts(currency, at));
  return [note("costs.rule"), ...(found.length ? charts : [note("costs.nothing")]), costSources()];
}

function costCharts(currency, at) {
  const rows = chosen("costs").filter((row) => row.currency === currency);
  const within = rows.filter((row) => row.is_in_dify_figure);
  const title = (key) => say(key, { currency: currencyName(currency) });
  return [
    dailyChart({
      id: `costs-daily-${at}`, title: title("costs.daily"), form: "bar",
      series: [daily(within, "price", say("price"), "money")],
    }),
    costsBy({ id: `costs-apps-${at}`, title: title("costs.apps"), heading: say("app"), rows, key: (row) => appName(row.app_id) }),
    costsBy({ id: `costs-models-${at}`, title: title("costs.models"), heading: say("model"), rows, key: (row) => row.model ?? say("unknown") }),
    costsByPerson(currency, title("costs.people"), at),
  ];
}

/** Bars of the dearest, and behind them a table of all. */
function costsBy({ id, title, heading, rows, key }) {
  const price = (held) => total(held, "price", "money");
  const lines = [...byKey(rows, key)].map(([name, held]) => {
    const within = held.filter((row) => row.is_in_dify_figure);
    const beyond = held.filter((row) => !row.is_in_dify_figure);
    return [name, price(within), price(beyond), total(held, "messages"), total(held, "tokens", "tokens")];
  }).sort(largestFirst((line) => line[1], (line) => line[0]));
  const names = ["price", "price.beyond", "messages", "tokens"];
  const kinds = ["money", "money", "count", "tokens"];
  const adding = (some) => names.map((_, at) => some.reduce((held, line) => held + line[at + 1], kinds[at] === "count" ? 0 : 0n));
  const listed = topRows(lines, MOST_ROWS, (some) => [say("rows.rest", { more: some.length }), ...adding(some)]);
  const full = { id, title, rows: listed, totals: [say("total"), ...adding(lines)],
    columns: [[heading, "text"], ...names.map((name, at) => [say(name), kinds[at]])] };
  return bars({ id, title, lines: lines.slice(0, MOST_BARS), name: say("price"), kind: "money", full });
}

/** Horizontal bars of lines: `[[name, figure], …]`. */
function bars({ lines, name, kind, ...block }) {
  const series = [{ name, kind, values: lines.map((line) => line[1]) }];
  return chart({ ...block, form: "rows", categories: lines.map((line) => line[0]), series });
}

const PEOPLE = new Map(rowsOf("people").map((row) => [row.person_id, row]));

function personName(id) {
  return id === null ? say("nobody") : PEOPLE.get(id)?.person_name ?? id;
}

function personKind(id) {
  return id === null ? null : word("kind", PEOPLE.get(id)?.person_kind ?? null);
}

function costsByPerson(currency, title, at) {
  const bounded = boundedPeople();
  if (bounded) return bounded;
  const rows = chosen("costs_of_people").filter((row) => row.currency === currency);
  const asked = byKey(chosen("activity"), (row) => row.person_id);
  const lines = [...byKey(rows, (row) => row.person_id)].map(([id, held]) => [
    personName(id), personKind(id),
    ...personSums(held, asked.get(id) ?? []),
  ]).sort(largestFirst((line) => line[2], (line) => line[0]));
  const rest = (some) => [say("rows.rest", { more: some.length }), null,
    ...[0n, 0n, 0, 0].map((zero, column) => some.reduce((held, line) => held + line[column + 2], zero))];
  const kinds = [["price", "money"], ["tokens", "tokens"], ["messages", "count"], ["runs", "count"]];
  return listing({
    id: `costs-people-${at}`, title, rows: topRows(lines, MOST_ROWS, rest),
    columns: [[say("person"), "text"], [say("kind"), "text"], ...kinds.map(([key, kind]) => [say(key), kind])],
  });
}

function personSums(priced, asked) {
  return [total(priced, "price", "money"), total(priced, "tokens", "tokens"), total(asked, "messages"), total(asked, "workflow_runs")];
}

function costSources() {
  const rows = chosen("costs");
  const lines = [...byKey(rows, (row) => JSON.stringify([row.price_source, row.currency])).values()].map((held) => {
    const { price_source, currency } = held[0];
    const part = (isWithin) => sum(held.filter((row) => row.is_in_dify_figure === isWithin), "price", "money");
    return [word("source", price_source), currency === null ? null : currencyName(currency), part(true), part(false),
      total(held, "messages"), total(held, "tokens", "tokens")];
  }).sort(largestFirst((line) => line[2], (line) => line[0]));
  const kinds = [["source", "text"], ["currency", "text"], ["price", "money"], ["price.beyond", "money"], ["messages", "count"], ["tokens", "tokens"]];
  return listing({
    id: "costs-sources", title: say("costs.sources"), rows: lines, columns: kinds.map(([key, kind]) => [say(key), kind]),
  });
}

function qualitySection() {
  const rows = chosen("usage");
  return [
    dailyChart({
      id: "ratings-daily", title: say("quality.ratings"), form: "bar", stacked: true,
      series: [daily(rows, "likes", say("likes")), daily(rows, "dislikes", say("dislikes"))],
    }),
    note("quality.rule"), conversationsByApp(), note("quality.questions.rule"), unansweredQuestions(), comments(),
  ];
}

function conversationsByApp() {
  const names = ["conversations", "turns", "abandoned", "unanswered_messages", "error_messages", "annotation_hits"];
  const keys = ["conversations", "turns", "abandoned", "unanswered", "errors.of_messages", "annotation_hits"];
  const sums = (rows) => names.map((name) => total(rows, name));
  const rows = chosen("conversations");
  const lines = [...byKey(rows, (row) => row.app_id)].map(([id, held]) => [appName(id), ...sums(held)])
    .sort(largestFirst((line) => line[1], (line) => line[0]));
  return listing({
    id: "conversations", title: say("quality.apps"), rows: lines, totals: [say("total"), ...sums(rows)],
    columns: [[say("app"), "text"], ...keys.map((key) => [say(key), "count"])],
  });
}

function unansweredQuestions() {
  const rows = chosen("questions").map((row) => [appName(row.app_id), row.question, row.questions, row.unanswered_questions,
    row.disliked_questions, row.uncited_questions, row.people, row.is_annotated, row.day]);
  const columns = [["app", "text"], ["question", "text"], ["asked", "count"], ["unanswered", "count"], ["disliked", "count"],
    ["uncited", "count"], ["people", "count"], ["annotated", "flag"], ["asked.last", "day"]];
  return boundedListing({
    id: "questions", title: say("quality.questions"), rows, columns: columns.map(([key, kind]) => [say(key), kind]),
  }, "questions");
}

function comments() {
  const rows = chosen("comments").map((row) => [row.day, appName(row.app_id), word("rating", row.rating), row.comment,
    row.question, word("from", row.from_source), row.giver_name]);
  const columns = [["day", "day"], ["app", "text"], ["rating", "text"], ["comment", "text"], ["question", "text"], ["from", "text"], ["person", "text"]];
  return boundedListing({
    id: "comments", title: say("quality.comments"), rows, columns: columns.map(([key, kind]) => [say(key), kind]),
  }, "comments");
}
