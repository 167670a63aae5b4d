// Building elements, and changing only what differs.

const SVG = "http://www.w3.org/2000/svg";

const ICONS = {
  first: "M3 3h2v12H3zM15 3v12L6 9z",
  back: "M12 3v12L4 9z",
  play: "M5 2.6v12.8L15.4 9z",
  pause: "M4 3h3.6v12H4zM10.4 3H14v12h-3.6z",
  forward: "M6 3v12l8-6z",
  last: "M13 3h2v12h-2zM3 3v12l9-6z",
  fork: "M3 11V1M3 7c0-2.5 5.5-1 5.5-4.5V1",
};

/**
 * Build an element.
 *
 * @param {string} spec a tag with classes: "button.tt-btn"
 * @param {Record<string, any>} [props] a function listens, "--name" is a custom property, the rest are attributes;
 *   a button does not submit unless told to
 * @param {...(Node | string | null | undefined | false)} children
 * @returns {any} the element
 */
export function h(spec, props = {}, ...children) {
  const [tag, ...classes] = spec.split(".");
  const node = document.createElement(tag);
  if (tag === "button") node.setAttribute("type", "button");
  if (classes.length) node.className = classes.join(" ");
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (name.startsWith("--")) node.style.setProperty(name, String(value));
    else attr(node, name, value);
  }
  node.append(...children.filter((child) => (child ?? false) !== false));
  return node;
}

/**
 * Set an attribute if it differs; true is an empty value, and null, undefined and false take it away.
 *
 * @param {Element} node
 * @param {string} name
 * @param {string | number | boolean | null | undefined} value
 */
export function attr(node, name, value) {
  const wanted = value === true ? "" : (value ?? false) === false ? null : String(value);
  if (node.getAttribute(name) === wanted) return;
  if (wanted === null) node.removeAttribute(name);
  else node.setAttribute(name, wanted);
}

/**
 * Set an element's text if it differs.
 *
 * @param {Element} node
 * @param {string} text
 */
export function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Set a custom property if it differs.
 *
 * @param {HTMLElement} node
 * @param {string} name
 * @param {string | number} value
 */
export function cssVar(node, name, value) {
  if (node.style.getPropertyValue(name) !== String(value)) node.style.setProperty(name, String(value));
}

/** Build an SVG element. @param {string} tag @param {Record<string, any>} props @param {...Node} children */
export function shape(tag, props, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const name in props) attr(node, name, props[name]);
  node.append(...children);
  return node;
}

/** @param {keyof typeof ICONS} name */
export function icon(name) {
  const viewBox = name === "fork" ? "0 0 12 12" : "0 0 18 18";
  return shape("svg", { viewBox, class: `tt-${name}`, "aria-hidden": "true" }, shape("path", { d: ICONS[name] }));
}

/** The mark of a branch: a line that forks. */
export function forkIcon() {
  return icon("fork");
}

/** A row of buttons of which one is pressed: `pick` is told, `press(value)` shows.
 *
 * @template T
 * @param {string} label
 * @param {{value: T, text: string, title?: string}[]} choices
 * @param {(value: T) => void} pick
 */
export function segments(label, choices, pick) {
  const buttons = choices.map(({ value, text, title }) =>
    h("button", { title, click: () => pick(value) }, text),
  );
  const node = h("div.tt-seg", { role: "group", "aria-label": label }, ...buttons);
  /** @param {T} value */
  const press = (value) => buttons.forEach((each, i) => attr(each, "aria-pressed", `${choices[i].value === value}`));
  return { node, buttons, press };
}
