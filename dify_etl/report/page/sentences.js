// What the page says, in the chosen language.

let language = "en";

/** The sentence of a key, with the values for its {names}. */
function say(key, values = {}) {
  const sentence = REPORT.sentences[key]?.[language];
  if (sentence === undefined) throw new Error(`no sentence ${key}`);
  return sentence.replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

/** A word of Dify's or ours where there is one for it; any other text as it is. */
function word(group, value) {
  if (value === null) return say("unknown");
  return REPORT.sentences[`${group}.${value}`]?.[language] ?? value;
}
