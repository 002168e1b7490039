// The figures of the file, and those of the chosen period and app.

const REPORT = JSON.parse(document.getElementById("report-data").textContent);
const PRESETS = [7, 28, 90, 0];

/** The rows of a table as objects; of a table that is missing none. */
const tables = new Map();
function rowsOf(name) {
  if (!tables.has(name)) tables.set(name, decoded(REPORT.tables[name]));
  return tables.get(name);
}

function decoded(table) {
  if (!table.columns) return [];
  const rows = Array.from({ length: table.rows }, () => ({}));
  for (const [name, held] of Object.entries(table.columns)) {
    rows.forEach((row, at) => {
      row[name] = Array.isArray(held) ? held[at] : held.codes[at] < 0 ? null : held.values[held.codes[at]];
    });
  }
  return rows;
}

/** Why a table is not there; null when it is. */
function missing(...names) {
  return names.map((name) => REPORT.tables[name].missing).find(Boolean) ?? null;
}

const choice = { days: 28, from: "", to: "", app: null };

/** The rows of the chosen period and app. Rows without an app are of the workspace. */
function chosen(name) {
  return rowsOf(name).filter((row) => inPeriod(row.day) && (choice.app === null || row.app_id === choice.app));
}

/** The same of a table that has rows of all apps together, where app_id is null. */
function chosenWhole(name) {
  return rowsOf(name).filter((row) => inPeriod(row.day) && row.app_id === choice.app);
}

/** The rows of the app alone, for tables without days, and rows of a list that has none. */
function ofApp(name) {
  return rowsOf(name).filter((row) => choice.app === null || row.app_id === choice.app);
}

function inPeriod(day) {
  return day >= choice.from && day <= choice.to;
}

/** The days of the chosen period. */
function days() {
  const found = [];
  for (let at = Date.parse(choice.from); at <= Date.parse(choice.to); at += 86400000) {
    found.push(new Date(at).toISOString().slice(0, 10));
  }
  return found;
}

function dayBefore(day, count) {
  return new Date(Date.parse(day) - count * 86400000).toISOString().slice(0, 10);
}

const LAST_DAY = REPORT.about.last_day;
const FIRST_DAY = REPORT.about.first_day;

/** Which preset the chosen period is, for percentiles that only these have; null: none. */
function preset() {
  if (choice.to === LAST_DAY && choice.from === FIRST_DAY) return 0;
  return PRESETS.find((count) => count && choice.to === LAST_DAY && choice.from === dayBefore(LAST_DAY, count - 1)) ?? null;
}

const APPS = new Map(rowsOf("apps").map((row) => [row.app_id, row]));
const NAMES = byKey(rowsOf("apps"), (row) => row.app_name);

/** The name of an app; apps of one name tell a part of their ids. */
function appName(id) {
  if (id === null) return say("app.workspace");
  const app = APPS.get(id);
  if (!app || app.app_name === null) return id;
  return NAMES.get(app.app_name).length > 1 ? `${app.app_name} (${id.slice(0, 8)})` : app.app_name;
}

/** What is wrong with the figures of each day, by day: the worst; days that are whole are not here. */
function partialDays() {
  const worst = ["unsettled", "unproven", "incomplete", "failed"];
  const found = new Map();
  const note = (day, state) => {
    if (worst.indexOf(state) > worst.indexOf(found.get(day))) found.set(day, state);
  };
  const slices = chosen("slices");
  slices.forEach((row) => note(row.day, row.state));
  chosen("usage").forEach((row) => {
    if (!row.is_settled) note(row.day, "unsettled");
    if (!row.is_proven) note(row.day, "unproven");
  });
  const read = new Set(slices.map((row) => row.day));
  days().filter((day) => !read.has(day)).forEach((day) => found.set(day, "unread"));
  return found;
}
