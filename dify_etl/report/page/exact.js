// Exact numbers: counts are numbers, tokens and money are BigInt, money in units of 10^-10.

const SCALE = 10;

/** Decimal text or a number to units of 10^-10; null stays null. */
function units(value) {
  if (value === null) return null;
  const [, sign, whole, part = ""] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(String(value));
  const held = BigInt(whole + part.padEnd(SCALE, "0"));
  return sign ? -held : held;
}

/** Units as decimal text without needless zeros, thousands parted by commas. */
function decimal(held) {
  const digits = (held < 0n ? -held : held).toString().padStart(SCALE + 1, "0");
  const whole = grouped(digits.slice(0, -SCALE));
  const part = digits.slice(-SCALE).replace(/0+$/, "");
  return `${held < 0n ? "-" : ""}${whole}${part ? "." + part : ""}`;
}

function grouped(digits) {
  return String(digits).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** How each kind of value is shown; null is a dash everywhere. */
const SHOWN = {
  count: (value) => grouped(value),
  tokens: (value) => grouped(value),
  money: decimal,
  number: (value) => String(value),
  seconds: (value) => value.toFixed(3),
  score: (value) => value.toFixed(4),
  share: (value) => `${(value * 100).toFixed(1)} %`,
  flag: (value) => say(value ? "yes" : "no"),
  day: (value) => value,
  instant: (value) => value.replace("T", " ").replace("Z", ""),
  text: (value) => String(value),
};
const NUMBERS = new Set(["count", "tokens", "money", "number", "seconds", "score", "share"]);

function shown(value, kind) {
  return value === null || value === undefined ? "–" : SHOWN[kind](value);
}

/** A value as a chart can draw it: rounded to what a picture shows. */
function drawn(value, kind) {
  if (value === null || value === undefined) return null;
  return kind === "money" ? Number(value) / 10 ** SCALE : Number(value);
}

/** The sum of a column over rows; null when every value is null. */
function sum(rows, name, kind = "count") {
  let total = null;
  for (const row of rows) {
    const value = row[name];
    if (value === null || value === undefined) continue;
    const held = kind === "money" ? units(value) : kind === "tokens" ? BigInt(value) : value;
    total = total === null ? held : total + held;
  }
  return total;
}

/** The same with 0 for nothing. */
function total(rows, name, kind = "count") {
  return sum(rows, name, kind) ?? (kind === "count" ? 0 : 0n);
}

function maximum(rows, name) {
  const values = rows.map((row) => row[name]).filter((value) => value !== null);
  return values.length ? values.reduce((one, other) => (other > one ? other : one)) : null;
}

/** Rows by a key, in the order in which the keys come. */
function byKey(rows, key) {
  const found = new Map();
  for (const row of rows) {
    const at = key(row);
    if (!found.has(at)) found.set(at, []);
    found.get(at).push(row);
  }
  return found;
}

/** For sorting: the largest first, null last, equal ones by their text. */
function largestFirst(value, text) {
  const order = (one, other) => (one > other ? -1 : one < other ? 1 : 0);
  return (one, other) => {
    const [first, second] = [value(one), value(other)];
    if (first === null || second === null) return (first === null) - (second === null);
    return order(first, second) || -order(text(one), text(other));
  };
}
