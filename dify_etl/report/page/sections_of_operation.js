// Sections: latency, workflows, errors, retrieval, documents, keys, reconciliation, completeness.

function latencySection() {
  const byDay = new Map(chosenWhole("latency_of_days").map((row) => [row.day, row]));
  const series = (column, key) => ({ name: say(key), kind: "seconds", values: days().map((day) => byDay.get(day)?.[column] ?? null) });
  return [
    dailyChart({
      id: "latency-daily", title: say("latency.daily"), form: "line",
      series: [series("p50_seconds", "p50"), series("p95_seconds", "p95"), series("p99_seconds", "p99")],
    }),
    note("latency.rule"), latencyOfPeriod(),
  ];
}

function latencyOfPeriod() {
  const isOfChoice = (row) => choice.app === null || (row.app_id === choice.app && !row.is_all_apps);
  const rows = rowsOf("latency_of_periods").filter((row) => row.days === preset() && isOfChoice(row));
  const lines = rows.map((row) => [
    row.is_all_apps ? say("app.all") : appName(row.app_id),
    row.is_all_models ? say("latency.models") : row.model ?? say("unknown"),
    row.messages, row.p50_seconds, row.p95_seconds, row.p99_seconds, row.max_seconds, row.p50_first_token_seconds,
  ]);
  const columns = [["app", "text"], ["model", "text"], ["messages", "count"], ["p50", "seconds"], ["p95", "seconds"],
    ["p99", "seconds"], ["max", "seconds"], ["p50.first", "seconds"]];
  return listing({
    id: "latency-period", title: say("latency.period"), rows: lines, columns: columns.map(([key, kind]) => [say(key), kind]),
  });
}

const OUTCOMES = [["runs.succeeded", "succeeded_runs"], ["runs.partly", "partly_succeeded_runs"], ["runs.failed", "failed_runs"],
  ["runs.stopped", "stopped_runs"], ["runs.unfinished", "unfinished_runs"]];

function workflowSection() {
  const rows = chosen("runs");
  return [
    note("workflows.rule"),
    dailyChart({
      id: "runs-daily", title: say("workflows.daily"), form: "bar", stacked: true,
      series: OUTCOMES.map(([key, column]) => daily(rows, column, say(key))),
    }),
    runsByApp(rows), note("workflows.nodes.rule"), ...nodeLists(),
  ];
}

function runsByApp(rows) {
  const line = (name, held) => [name, total(held, "runs"), ...OUTCOMES.map(([, column]) => total(held, column)),
    successRate(held), maximum(held, "p95_elapsed_seconds")];
  const lines = [...byKey(rows, (row) => row.app_id)].map(([id, held]) => line(appName(id), held))
    .sort(largestFirst((one) => one[4], (one) => one[0]));
  return listing({
    id: "runs-apps", title: say("workflows.apps"), rows: lines, totals: line(say("total"), rows),
    columns: [[say("app"), "text"], [say("runs.all"), "count"], ...OUTCOMES.map(([key]) => [say(key), "count"]),
      [say("success_rate"), "share"], [say("p95.highest"), "seconds"]],
  });
}

function successRate(rows) {
  const ended = total(rows, "runs") - total(rows, "unfinished_runs");
  return ended ? total(rows, "succeeded_runs") / ended : null;
}

function nodeLists() {
  const groups = byKey(chosen("nodes"), (row) => JSON.stringify([row.app_id, row.node_id]));
  const lines = [...groups.values()].map(nodeLine);
  const columns = [[say("app"), "text"], [say("node"), "text"], [say("node.type"), "text"], ...[["executions", "count"], ["failed", "count"],
    ["handled", "count"], ["seconds.total", "seconds"], ["seconds.mean", "seconds"], ["p95.highest", "seconds"]].map(([key, kind]) => [say(key), kind])];
  const named = (line) => `${line[1]} · ${line[0]}`;
  const slow = [...lines].sort(largestFirst((line) => line[6], named));
  const failing = lines.filter((line) => line[4] + line[5] > 0).sort(largestFirst((line) => line[4] + line[5], named));
  return [
    bars({ id: "nodes-slow", title: say("workflows.nodes.slow"), name: say("seconds.total"), kind: "seconds",
      lines: slow.slice(0, MOST_BARS).map((line) => [named(line), line[6]]),
      full: { id: "nodes-slow", title: say("workflows.nodes.slow"), columns, rows: slow.slice(0, MOST_ROWS) } }),
    listing({ id: "nodes-failing", title: say("workflows.nodes.failing"), columns, rows: failing.slice(0, MOST_ROWS) }),
  ];
}

function nodeLine(rows) {
  const { app_id, node_id, node_title, node_type } = rows[0];
  const executions = total(rows, "executions");
  const seconds = total(rows, "total_seconds");
  const isRest = node_id === null;
  return [appName(app_id), isRest ? say("node.others") : node_title ?? node_id, node_type, executions, total(rows, "failed"),
    total(rows, "handled"), seconds, executions ? seconds / executions : null, isRest ? null : maximum(rows, "p95_seconds")];
}

function errorSection() {
  const rows = chosen("errors").map((row) => [appName(row.app_id), word("error", row.error_kind), row.node_type, row.error,
    row.errors, row.people, row.day]);
  const columns = [["app", "text"], ["kind", "text"], ["node.type", "text"], ["error", "text"], ["count", "count"], ["people.hit", "count"], ["last", "day"]];
  const lines = rows.slice(0, MOST_BARS).map((row) => [`${label(row[3], 40)} · ${row[0]}`, row[4]]);
  return [
    note("errors.rule"),
    bars({ id: "errors", title: say("errors.kinds"), lines, name: say("count"), kind: "count", isOpen: true,
      full: { id: "errors", title: say("errors.kinds"), rows, columns: columns.map(([key, kind]) => [say(key), kind]) } }),
    boundedNote("errors", rows.length),
  ];
}

function retrievalSection() {
  const datasets = rowsOf("retrieval");
  const series = (column, key) => ({ name: say(key), kind: "count", values: datasets.map((row) => row[column]) });
  const rows = rowsOf("cited_segments").map((row) => [row.dataset_name, row.document_name, row.segment_position, row.citations,
    row.liked_messages, row.disliked_messages, row.average_score, row.last_cited_date, row.is_document_in_dify]);
  const columns = [["dataset", "text"], ["document", "text"], ["segment", "number"], ["citations", "count"], ["liked", "count"],
    ["disliked", "count"], ["score", "score"], ["cited.last", "day"], ["in_dify", "flag"]];
  return [
    note("retrieval.rule"),
    chart({
      id: "retrieval", title: say("retrieval.datasets"), heading: say("dataset"), form: "rows", stacked: true,
      categories: datasets.map((row) => row.dataset_name ?? say("unknown")),
      series: [series("cited_documents", "documents.cited"), series("never_cited_documents", "documents.never")],
    }),
    boundedListing({
      id: "segments", title: say("retrieval.segments"), rows: rows.slice(0, MOST_ROWS), columns: columns.map(([key, kind]) => [say(key), kind]),
    }, "cited_segments"),
  ];
}

const DOCUMENT_STATES = ["available", "working", "paused", "failed", "disabled", "archived"];

function documentSection() {
  const datasets = rowsOf("documents");
  const counts = [["documents.stuck", "stuck_documents"], ["documents.never_hit", "never_hit_documents"]];
  const rows = datasets.map((row) => [row.dataset_name, row.documents, ...DOCUMENT_STATES.map((state) => row[`${state}_documents`]),
    ...counts.map(([, column]) => row[column]), row.hits, row.last_error, row.last_error_document]);
  const columns = [[say("dataset"), "text"], [say("documents.all"), "count"], ...DOCUMENT_STATES.map((state) => [say(`documents.${state}`), "count"]),
    ...counts.map(([key]) => [say(key), "count"]), [say("hits"), "tokens"], [say("error.last"), "text"], [say("document"), "text"]];
  return [
    note("documents.rule", { read: shown(maximum(datasets, "read_at"), "instant") }),
    chart({
      id: "documents", title: say("documents.states"), form: "rows", stacked: true, isOpen: true,
      categories: datasets.map((row) => row.dataset_name),
      series: DOCUMENT_STATES.map((state) => ({
        name: say(`documents.${state}`), kind: "count", values: datasets.map((row) => row[`${state}_documents`]),
      })),
      full: { id: "documents", title: say("documents.states"), rows, columns },
    }),
  ];
}

function keySection() {
  const keys = ofApp("keys");
  const place = (row) => (row.app_id === null ? say("key.dataset") : appName(row.app_id));
  const rows = keys.map((row) => [place(row), row.masked_token, word("key", row.key_type), row.age_days, row.max_age_days, row.is_over_age,
    row.unused_days, row.is_never_used, row.last_used_at, row.consumer, row.is_being_replaced]);
  const columns = [["app", "text"], ["key", "text"], ["kind", "text"], ["age", "count"], ["age.most", "count"], ["over_age", "flag"], ["unused", "count"],
    ["never_used", "flag"], ["used.last", "instant"], ["consumer", "text"], ["replaced", "flag"]];
  const lines = keys.slice(0, MOST_BARS).map((row) => [`${row.masked_token ?? ""} · ${place(row)}`, row.age_days]);
  return [
    note("keys.rule", { read: shown(maximum(keys, "read_at"), "instant") }),
    bars({ id: "keys", title: say("keys.ages"), lines, name: say("age"), kind: "count", isOpen: true,
      full: { id: "keys", title: say("keys.ages"), rows, columns: columns.map(([key, kind]) => [say(key), kind]) } }),
  ];
}

const VERDICTS = ["equal", "explained", "late", "differs"];

function reconciliationSection() {
  const rows = chosen("verdicts");
  const list = chosen("differences").map((row) => [row.day, appName(row.app_id), row.metric, word("verdict", row.verdict),
    row.dify_figure, row.our_figure, row.reason]);
  const columns = [["day", "day"], ["app", "text"], ["metric", "text"], ["verdict", "text"], ["figure.dify", "number"], ["figure.ours", "number"], ["reason", "text"]];
  return [
    note("reconciliation.rule"),
    tiles(VERDICTS.map((verdict) => [`verdict.${verdict}`, grouped(total(rows.filter((row) => row.verdict === verdict), "figures"))])),
    dailyChart({
      id: "verdicts-daily", title: say("reconciliation.daily"), form: "bar", stacked: true,
      series: VERDICTS.map((verdict) => daily(rows.filter((row) => row.verdict === verdict), "figures", say(`verdict.${verdict}`))),
    }),
    boundedListing({
      id: "differences", title: say("reconciliation.list"), rows: list, columns: columns.map(([key, kind]) => [say(key), kind]),
    }, "differences"),
  ];
}

const STATES = ["proven", "unproven", "incomplete", "failed"];

function completenessSection() {
  const rows = chosen("slices");
  return [
    note("completeness.rule"),
    dailyChart({
      id: "slices-daily", title: say("completeness.daily"), form: "bar", stacked: true,
      series: STATES.map((state) => daily(rows.filter((row) => row.state === state), "slices", say(`state.${state}`))),
    }),
    holes(), freshness(),
  ];
}

function holes() {
  const isChosen = (row) => row.day === null || inPeriod(row.day);
  const rows = ofApp("holes").filter(isChosen).map((row) => [row.feed, appName(row.app_id), row.day, word("state", row.state), row.reason, row.bad_since]);
  const columns = [["feed", "text"], ["app", "text"], ["day", "day"], ["state", "text"], ["reason", "text"], ["since", "instant"]];
  return boundedListing({
    id: "holes", title: say("completeness.holes"), rows, columns: columns.map(([key, kind]) => [say(key), kind]),
  }, "holes");
}

function freshness() {
  const isChosen = (row) => choice.app === null || row.app_id === null || row.app_id === choice.app;
  const rows = rowsOf("freshness").filter(isChosen).map((row) => [row.feed, appName(row.app_id), row.read_at, row.read_through_date,
    row.proven_through_date, row.slices, row.bad_slices, row.unproven_slices, row.waiting_rows]);
  const columns = [["feed", "text"], ["app", "text"], ["read_at", "instant"], ["read_through", "day"], ["proven_through", "day"],
    ["slices", "count"], ["slices.bad", "count"], ["slices.unproven", "count"], ["waiting", "count"]];
  return listing({
    id: "freshness", title: say("completeness.freshness"), rows, columns: columns.map(([key, kind]) => [say(key), kind]),
  });
}
