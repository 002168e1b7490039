// The page: what is chosen, the sections of it, and the address that keeps the choice.

const SECTIONS = [
  ["usage", usageSection, ["usage", "people_per_day", "activity"]],
  ["costs", costSection, ["costs", "costs_of_people"]],
  ["quality", qualitySection, ["usage", "conversations", "questions", "comments"]],
  ["latency", latencySection, ["latency_of_days", "latency_of_periods"]],
  ["workflows", workflowSection, ["runs", "nodes"]],
  ["errors", errorSection, ["errors"]],
  ["retrieval", retrievalSection, ["retrieval", "cited_segments"]],
  ["documents", documentSection, ["documents"]],
  ["keys", keySection, ["keys"]],
  ["reconciliation", reconciliationSection, ["verdicts", "differences"]],
  ["completeness", completenessSection, ["slices", "holes", "freshness"]],
];
const LANGUAGES = { en: "English", zh: "中文" };
const THEMES = ["auto", "light", "dark"];
const DAY = /^\d{4}-\d\d-\d\d$/;
const darkness = matchMedia("(prefers-color-scheme: dark)");
let theme = "auto";

/** What of a section is missing in the copy costs that section alone. */
function section([id, build, names]) {
  const reason = missing(...names);
  const parts = reason === null ? build() : [note("missing", { reason })];
  return element("section", { id, "aria-labelledby": `${id}-title` }, element("h2", { id: `${id}-title` }, say(id)), ...parts);
}

function show() {
  applyTheme();
  document.documentElement.lang = language === "zh" ? "zh-Hans" : language;
  document.title = `${REPORT.about.workspace_name ?? ""} · ${say("title")}`;
  setText("skip", say("skip"));
  setText("title", say("title"));
  setText("where", aboutWhere());
  document.getElementById("sections").setAttribute("aria-label", say("sections"));
  document.getElementById("sections").replaceChildren(element("ul", {}, ...SECTIONS.map(([id]) =>
    element("li", {}, element("a", { href: `#${id}`, "data-section": id }, say(id))))));
  document.getElementById("choices").replaceChildren(...controls());
  forgetCharts();
  document.getElementById("figures").replaceChildren(statusSection(), ...SECTIONS.map(section));
  document.getElementById("about").replaceChildren(...aboutLines());
  drawCharts();
}

function setText(id, text) {
  document.getElementById(id).textContent = text;
}

function aboutWhere() {
  const about = REPORT.about;
  return [
    say("about.where", { workspace: about.workspace_name ?? about.workspace_id ?? "–", server: (about.server_origin ?? "–").replace(/^https?:\/\//, ""), version: about.server_version ?? "–", zone: about.timezone ?? "UTC" }),
    say("about.when", { published: `${shown(about.published_at, "instant")} UTC`, day: LAST_DAY }),
  ].join(" ");
}

function aboutLines() {
  return [
    note("about.private"), note("about.bound", { day: FIRST_DAY }),
    note("about.made", { version: REPORT.about.made_by, echarts: echarts.version }),
  ];
}

function applyTheme() {
  const isDark = theme === "dark" || (theme === "auto" && darkness.matches);
  document.documentElement.dataset.theme = isDark ? "dark" : "light";
}

/** A labelled control; whatever changes it is shown and kept in the address. */
function control(key, field, change) {
  field.id = `choose-${key}`;
  field.addEventListener("change", () => {
    change(field.value);
    keep();
    show();
    document.getElementById(field.id)?.focus();
  });
  return element("label", {}, say(`choose.${key}`), field);
}

function select(options, value) {
  return element("select", {}, ...options.map(([held, text]) => element("option", { value: held, selected: held === value }, text)));
}

function controls() {
  const periods = [...PRESETS.map(String), "custom"].map((held) => [held, say(`period.${held}`)]);
  const apps = [["", say("app.all")], ...[...APPS.keys()].map((id) => [id, appName(id)])];
  const date = (value) => element("input", { type: "date", value, min: FIRST_DAY, max: LAST_DAY });
  const print = element("button", { type: "button" }, say("print"));
  print.addEventListener("click", () => window.print());
  return [
    control("period", select(periods, choice.days === null ? "custom" : String(choice.days)), choosePeriod),
    control("from", date(choice.from), (day) => chooseDays(day, choice.to)),
    control("to", date(choice.to), (day) => chooseDays(choice.from, day)),
    control("app", select(apps, choice.app ?? ""), (id) => { choice.app = id || null; }),
    control("language", select(Object.entries(LANGUAGES), language), (name) => { language = name; }),
    control("theme", select(THEMES.map((name) => [name, say(`theme.${name}`)]), theme), (name) => { theme = name; }),
    print,
  ];
}

function choosePeriod(text) {
  if (text === "custom") {
    choice.days = null;
    return;
  }
  choice.days = Number(text);
  choice.to = LAST_DAY;
  choice.from = choice.days ? dayBefore(LAST_DAY, choice.days - 1) : FIRST_DAY;
}

/** Days that are none, or lie outside of the report, are moved into it. */
function chooseDays(from, to) {
  const inside = (day, otherwise) => {
    if (!DAY.test(day) || Number.isNaN(Date.parse(day))) return otherwise;
    return day < FIRST_DAY ? FIRST_DAY : day > LAST_DAY ? LAST_DAY : day;
  };
  [choice.from, choice.to] = [inside(from, FIRST_DAY), inside(to, LAST_DAY)].sort();
  choice.days = null;
}

function keep() {
  const kept = { app: choice.app, language, theme };
  const period = choice.days === null ? { from: choice.from, to: choice.to } : { days: choice.days };
  const words = Object.entries({ ...period, ...kept }).filter(([, value]) => value !== null && value !== "auto");
  history.replaceState(null, "", `#${new URLSearchParams(words)}`);
}

/** Take the choice from the address; what it does not name stays, what is no choice is left out. */
function recall() {
  const asked = new URLSearchParams(location.hash.slice(1));
  if (APPS.has(asked.get("app"))) choice.app = asked.get("app");
  if (Object.hasOwn(LANGUAGES, asked.get("language") ?? "")) language = asked.get("language");
  if (THEMES.includes(asked.get("theme"))) theme = asked.get("theme");
  if (PRESETS.map(String).includes(asked.get("days"))) choosePeriod(asked.get("days"));
  if (asked.has("from") || asked.has("to")) chooseDays(asked.get("from") ?? "", asked.get("to") ?? "");
}

function begin() {
  const browsers = navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
  language = REPORT.about.language ?? browsers;
  choosePeriod("28");
  recall();
  show();
}

document.getElementById("sections").addEventListener("click", (event) => {
  const id = event.target.dataset?.section;
  if (!id) return;
  event.preventDefault();  // the address keeps the choice
  const title = document.getElementById(`${id}-title`);
  title.tabIndex = -1;
  title.focus();
  title.scrollIntoView();
});
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  document.getElementById("figures").focus();
});
document.getElementById("choices").addEventListener("submit", (event) => event.preventDefault());
window.addEventListener("hashchange", () => { recall(); show(); });
window.addEventListener("resize", fitCharts);
darkness.addEventListener("change", show);

/** Paper is white, and shows what is folded. */
let beforePrint = null;
window.addEventListener("beforeprint", () => {
  beforePrint = theme;
  theme = "light";
  show();
  document.querySelectorAll("details").forEach((one) => { one.open = true; });
  fitCharts();
});
window.addEventListener("afterprint", () => {
  theme = beforePrint ?? theme;
  show();
});

begin();
