// What a cache weighs: factors in a row, formula left, measurement right, and below it kinds of attention and a card.

import { lineChart } from "./shared/chart.js";
import { attr, h, put, segments } from "./shared/dom.js";
import { count, fixed } from "./shared/format.js";
import { inquiry } from "./shared/inquiry.js";
import { liveBadge } from "./shared/live_badge.js";
import { ownKeys } from "./shared/own_keys.js";

const WEIGH_SEND_MS = 50;
const QUICK = ["gpt-2", "llama-3-8b", "llama-2-70b", "gemma-3-4b", "deepseek-v3"];
const KEPT_IN = ["fp32", "bf16", "fp16", "fp8", "int8", "int4"];
const KIND_NAMES = { MHA: "every head its own", GQA: "groups share", MQA: "all share one", MLA: "one latent" };
/** Which control a factor's symbol belongs to. @type {Record<string, string>} */
const FACTOR_FIELDS = { L: "layers", n_kv: "kv_heads", d_head: "head_size", n: "positions", B: "batch", bytes: "dtype" };

/** What a slider stops at: powers of two, and half-way between them. @param {number} most */
export function roundSizes(most) {
  const sizes = [1];
  for (let power = 2; power <= most; power *= 2) sizes.push(power, ...(power * 1.5 <= most ? [power * 1.5] : []));
  return sizes;
}

/** Which of some rising sizes is nearest to a number, by ratio. @param {number[]} sizes @param {number} value */
export function nearestSize(sizes, value) {
  const far = sizes.map((size) => Math.abs(Math.log(size / Math.max(1, value))));
  return far.indexOf(Math.min(...far));
}

/** A number of GB as an axis says it. @param {number} gb */
export function sayGb(gb) {
  if (gb === 0) return "0";
  if (gb >= 1) return `${Number(gb.toPrecision(3))} GB`;
  return gb >= 1e-3 ? `${Number((gb * 1e3).toPrecision(3))} MB` : `${Number((gb * 1e6).toPrecision(3))} kB`;
}

/** @param {{model: any, el: HTMLElement}} context */
function renderCalculator({ model, el }) {
  const get = (/** @type {string} */ name) => model.get(name);
  const [title, badge] = [h("h2.tt-title"), h("span.tt-badge")];
  const asked = inquiry({ model, draw: drawStatus });
  const quickKeys = [...get("presets").filter((/** @type {any} */ each) => each.here).slice(0, 1).map((/** @type {any} */ each) => each.key), ...QUICK];
  const shapeOf = (/** @type {string} */ key) => get("presets").find((/** @type {any} */ each) => each.key === key);
  const quick = segments("Architecture", quickKeys.map((key) => ({ value: key, text: shapeOf(key)?.name ?? key })), (key) => send({ preset: key }, "preset"));
  const all = h("select.tt-field.tt-calc-all", { "aria-label": "All architectures", change: () => send({ preset: all.value }, "preset") });
  for (const [here, label] of /** @type {[boolean, string][]} */ ([[true, "at hand here"], [false, "known shapes"]])) {
    const options = get("presets").filter((/** @type {any} */ each) => each.here === here);
    if (options.length) all.append(h("optgroup", { label }, ...options.map((/** @type {any} */ each) => h("option", { value: each.key }, each.name))));
  }
  const source = h("span.tt-note");
  const formula = h("div.tt-calc-formula", { role: "group", "aria-label": "The formula" });
  const said = h("div.tt-calc-side");
  const equals = h("div.tt-calc-equals");
  const real = h("div.tt-calc-side");
  const measure = h("button.tt-btn", { "data-line": true, click: onMeasure }, "Weigh it here");
  const far = h("span.tt-note", { role: "status" });
  const sentence = h("p.tt-calc-say", { role: "status" });

  /** @type {Record<string, any>} */
  const inputs = {};
  /** @type {Record<string, any>} */
  const sliders = {};
  /** @type {Record<string, number[]>} */
  const sizes = {};
  /** @param {string} name @param {string} label @param {number} [most] gives it a slider up to here */
  function numberField(name, label, most) {
    const input = (inputs[name] = h("input.tt-field.tt-num", { inputmode: "numeric", autocomplete: "off", "aria-label": label, input: () => (typing = name), blur: () => (typing = ""), change: () => typed(name), keydown: (/** @type {KeyboardEvent} */ event) => stepKey(event, name) }));
    if (most) {
      sizes[name] = roundSizes(most);
      sliders[name] = h("input", { type: "range", min: 0, max: sizes[name].length - 1, step: 1, "aria-label": `${label}, slider`, input: () => slid(name) });
    }
    return h("label.tt-calc-field", { "data-wide": Boolean(most) }, h("span.tt-label", {}, label), input, sliders[name]);
  }
  /** @param {string} name @param {string} label */
  function typeField(name, label) {
    inputs[name] = h("select.tt-field", { "aria-label": label, change: () => send({ [name]: inputs[name].value }, name) }, ...KEPT_IN.map((each) => h("option", {}, each)));
    return h("label.tt-calc-field", {}, h("span.tt-label", {}, label), inputs[name]);
  }
  const controls = h("div.tt-calc-controls", {}, numberField("layers", "layers"), numberField("heads", "query heads"), numberField("kv_heads", "KV heads"), numberField("head_size", "head size"), typeField("dtype", "numbers in"), numberField("window", "window"), numberField("windowed", "layers with it"), numberField("latent", "latent"), numberField("rope", "places"));
  const wide = h("div.tt-calc-wide", {}, numberField("positions", "positions", 2 ** 20), numberField("batch", "batch", 1024));
  const kinds = h("div.tt-calc-kinds", { role: "group", "aria-label": "Kind of attention" });
  const kindRows = Object.entries(KIND_NAMES).map(([kind, words]) => {
    const [bar, text, heads] = [h("i"), h("span.tt-num"), h("span.tt-note")];
    const node = h("button.tt-calc-kind", { click: () => send({ kind }, "kind") }, h("b", {}, kind), h("span.tt-note", {}, words), h("span.tt-calc-track", {}, bar), text, heads);
    kinds.append(node);
    return { node, bar, text, heads };
  });
  const cardBar = h("div.tt-calc-card", { role: "img" }, h("i.tt-calc-heavy"), h("i.tt-calc-cache"));
  const cardWords = h("div.tt-calc-card-words.tt-note");
  const cardFields = h("div.tt-calc-card-fields", {}, numberField("card", "card, GB"), typeField("weights", "weights in"));
  const answers = h("dl.tt-calc-answers");
  const chart = lineChart({ label: "Bytes of the cache against positions", height: 250 });
  const tableToggle = h("button.tt-toggle", { "aria-pressed": "false", click: flip }, "As a table");
  const twin = h("div.tt-calc-twin", { hidden: true, tabindex: 0, role: "region", "aria-label": "The arithmetic as a table" });

  el.append(
    ownKeys(
      h("div.tt-root.tt-calc", {}, h("div.tt-page", {},
        h("header.tt-head", {}, title, badge),
        h("div.tt-calc-presets", {}, h("span.tt-label", {}, "Architecture"), quick.node, all, source),
        asked.problem,
        h("div.tt-calc-row", {}, formula, h("div.tt-calc-sides", {}, said, equals, real)),
        h("div.tt-calc-run", {}, measure, far),
        controls,
        wide,
        sentence,
        h("div.tt-calc-below", {},
          h("section", {}, h("h3.tt-h", {}, "The same positions, kept another way"), kinds),
          h("section", {}, h("h3.tt-h", {}, "On a card"), cardFields, cardBar, cardWords, answers)),
        chart.node,
        h("p.tt-calc-foot", {}, tableToggle),
        twin)),
    ),
  );

  let touched = "positions";
  let typing = ""; // a field that is being filled in: an answer to something else must not overwrite it
  let sending = 0;
  /** @type {Record<string, any>} */
  let wishes = {};

  /** @param {Record<string, any>} fields @param {string} field what the reader has touched */
  function send(fields, field) {
    touched = field;
    Object.assign(wishes, fields);
    clearTimeout(sending);
    sending = setTimeout(() => {
      asked.ask({ type: "change", fields: wishes });
      wishes = {};
    }, WEIGH_SEND_MS);
  }
  /** A number as it was typed. @param {string} name */
  function typed(name) {
    typing = "";
    const text = inputs[name].value.replaceAll(/[,\s]/g, "");
    const value = Number(text);
    // What is no number is refused in Python, with a sentence.
    send({ [name]: text === "" || !Number.isFinite(value) ? null : value }, name);
  }
  /** @param {string} name */
  function slid(name) {
    const value = sizes[name][Number(sliders[name].value)];
    inputs[name].value = count(value);
    send({ [name]: value }, name);
  }
  /** Arrow keys change a number by one. @param {KeyboardEvent} event @param {string} name */
  function stepKey(event, name) {
    const by = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (!by || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const value = Number(inputs[name].value.replaceAll(/[,\s]/g, "")) + by;
    if (!Number.isFinite(value) || value < 0) return;
    inputs[name].value = count(value);
    send({ [name]: value }, name);
  }
  function onMeasure() {
    if (get("status").state !== "idle") model.send({ type: "stop" });
    else asked.ask({ type: "measure" });
    drawStatus();
  }
  function flip() {
    twin.hidden = !twin.hidden;
    attr(tableToggle, "aria-pressed", String(!twin.hidden));
    drawTwin();
  }

  function drawControls() {
    const settings = get("settings");
    for (const name in inputs) {
      if (name in wishes || name === typing) continue;
      const value = settings[name] ?? 0;
      inputs[name].value = typeof value === "number" ? (name === "card" ? String(value) : count(value)) : value;
      if (sliders[name]) sliders[name].value = nearestSize(sizes[name], value);
    }
    const latent = settings.latent > 0;
    for (const name of ["kv_heads", "head_size", "window", "windowed"]) inputs[name].closest("label").hidden = latent;
    for (const name of ["latent", "rope"]) inputs[name].closest("label").hidden = !latent;
    inputs.windowed.closest("label").hidden = latent || !settings.window;
  }

  /** @param {{value: string, symbol: string, name: string}} factor */
  function factorCell({ value, symbol, name }) {
    const field = FACTOR_FIELDS[symbol] ?? (name.startsWith("latent") ? "latent" : name === "positions kept" ? "positions" : "");
    const kept = { positions: ["positions", "window", "windowed", "layers"], latent: ["latent", "rope"] }[field] ?? [field];
    const now = (name === "positions kept" || field === "latent" ? kept.includes(touched) : touched === field) && field;
    const [base, low] = symbol.split("_");
    const sign = low ? [base, h("sub", {}, low)] : [symbol || " "];
    return h("div.tt-calc-factor", { "data-now": Boolean(now), "data-field": field, click: () => inputs[field]?.focus() }, h("b", {}, value), h("em", {}, ...sign), h("span", {}, name));
  }

  function draw() {
    const [result, measured, settings] = [get("result"), get("measured"), get("settings")];
    put(title, get("title"));
    quick.press(settings.preset);
    all.value = settings.preset;
    put(source, `${settings.changed ? "changed by you; it was from " : "from "}${result.source}`);
    const cells = result.factors.flatMap((/** @type {any} */ each, /** @type {number} */ i) => [i ? h("span.tt-calc-times", { "aria-hidden": "true" }, "×") : null, factorCell(each)]);
    formula.replaceChildren(...cells.filter(Boolean));
    said.replaceChildren(h("b", {}, result.total), h("span", {}, "bytes by the formula"), h("span", {}, result.units));
    const agrees = measured.agrees ? h("span.tt-calc-agree", {}, " ✓ agree") : h("span.tt-calc-differ", {}, " ✗ differ");
    real.replaceChildren(
      ...(measured.bytes
        ? [h("b", {}, measured.bytes), h("span", {}, "bytes of the live tensors", agrees), h("span", {}, measured.note || `counted after a pass of ${fixed(measured.ms, 0)} ms`)]
        : [h("b.tt-calc-absent", {}, measured.why ? "not run here" : "not weighed yet")]),
    );
    attr(real, "title", measured.why || null);
    put(equals, measured.bytes ? (measured.agrees ? "=" : "≠") : "");
    put(sentence, get("sentence"));
    result.kinds.forEach((/** @type {any} */ row, /** @type {number} */ i) => {
      const { node, bar, text, heads } = kindRows[i];
      attr(node, "aria-pressed", String(row.kind === result.kind));
      attr(node, "disabled", !row.said);
      bar.style.width = `${row.share * 100}%`;
      bar.hidden = !row.share;
      put(text, row.said || "—");
      put(heads, row.said ? (row.kind === "MLA" ? row.heads : `${row.heads} heads`) : "no such groups");
    });
    drawCard(result.card);
    drawControls();
    drawTwin();
    drawStatus();
  }

  /** @param {any} card */
  function drawCard(card) {
    const whole = Math.max(card.size, card.heavy + card.cache);
    cardBar.style.width = `${(card.size / whole) * 100}%`;
    cardBar.style.setProperty("--heavy", `${(card.heavy / card.size) * 100}%`);
    cardBar.style.setProperty("--cache", `${(card.cache / card.size) * 100}%`);
    const words = card.known ? `weights ${sayGb(card.heavy)}, cache ${sayGb(card.cache)}, card ${sayGb(card.size)}` : `cache ${sayGb(card.cache)}, card ${sayGb(card.size)}; how many weights there are is not known`;
    attr(cardBar, "aria-label", words);
    attr(cardBar, "data-over", card.heavy + card.cache > card.size);
    cardWords.replaceChildren(
      ...(card.known ? [h("span", {}, h("i.tt-calc-key-heavy"), `weights ${sayGb(card.heavy)}`)] : []),
      h("span", {}, h("i.tt-calc-key-cache"), `cache ${sayGb(card.cache)}`),
      h("span", {}, !card.known ? "the number of weights is not known" : card.fits ? `free ${sayGb(card.size - card.heavy - card.cache)}` : `${sayGb(card.heavy + card.cache - card.size)} too much`),
    );
    const settings = get("settings");
    const fit = card.known && card.room !== null;
    answers.replaceChildren(
      h("dt.tt-label", {}, `longest context at batch ${count(settings.batch)}`),
      h("dd", {}, fit ? card.longest : "none", fit && card.made_for ? h("small.tt-note", {}, `made for ${card.made_for}`) : null),
      h("dt.tt-label", {}, `largest batch of ${count(settings.positions)} positions`),
      h("dd", {}, fit ? card.batch : "none"),
    );
    const [unit, times] = card.top >= 1 ? ["GB", 1] : card.top >= 1e-3 ? ["MB", 1e3] : ["kB", 1e6];
    const marks = [{ x: settings.positions, y: card.cache, text: sayGb(card.cache), kind: "now", drop: true }];
    if (card.longest_at) marks.push({ x: card.longest_at, y: card.room, text: "full", kind: "ink", drop: false });
    chart.draw({
      x: { label: "positions of each text", low: 0, high: card.high, format: (/** @type {number} */ n) => count(n) },
      y: { label: `keys and values, ${unit}`, low: 0, high: card.top, format: (/** @type {number} */ gb) => String(Number((gb * times).toPrecision(3))) },
      lines: card.lines.map((/** @type {any} */ line, /** @type {number} */ i) => ({ ...line, kind: i ? "other" : "free", dashed: i > 0 })),
      marks: marks.filter(({ x, y }) => x <= card.high && y <= card.top),
      levels: card.room !== null && card.room <= card.top ? [{ y: card.room, name: "room on the card", kind: "ink" }] : [],
    });
    chart.say(`Bytes of the cache against positions. ${words}.`);
  }

  function drawTwin() {
    if (twin.hidden) return;
    const rows = [...get("result").factors.map((/** @type {any} */ each) => [each.name, each.value + (each.symbol.includes("+") || each.symbol.includes("×") ? ` = ${each.symbol}` : "")]), ...get("result").rows];
    twin.replaceChildren(h("table.tt-table", {}, h("tbody", {}, ...rows.map(([name, value]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, value))))));
  }

  function drawStatus() {
    const { state, done, total } = get("status");
    const busy = state !== "idle";
    const measured = get("measured");
    const shown = shapeOf(get("settings").preset)?.name ?? "";
    if (get("mode") === "formula" && !busy) {
      attr(badge, "data-kind", "recorded");
      attr(badge, "data-running", false);
      badge.replaceChildren(h("b", {}, "FORMULA ONLY"), ` ${shown}`);
    } else liveBadge(badge, get("mode"), busy, shown);
    measure.hidden = Boolean(measured.why) && !busy;
    put(measure, busy ? "Stop" : measured.bytes ? "Weigh it again here" : "Weigh it here");
    put(far, state === "loading" ? "Loading the model …" : state === "running" ? `Reading, ${count(done)} of ${count(total)} positions …` : measured.why);
    asked.show();
  }
  asked.listen(["settings", "result", "measured", "sentence"].map((name) => [`change:${name}`, draw]));
  // What was refused goes back to what it was.
  const onError = () => drawControls();
  model.on("change:error", onError);
  draw();
  return () => {
    clearTimeout(sending);
    model.off("change:error", onError);
    asked.stop();
  };
}

export default { render: renderCalculator };
