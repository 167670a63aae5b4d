// What the reader presses: transport, speeds, toggles, and the keys that do the same.

import { attr, h, icon, put, segments } from "./dom.js";

const SPEEDS = [
  { value: 1, text: "slow", title: "A token in four moves, 2.1 seconds" },
  { value: 4, text: "4/s" },
  { value: 15, text: "15/s" },
  { value: 0, text: "as measured" },
];
const BUTTONS = [
  ["first", "Back to the prompt", "Home"],
  ["back", "Step back", "←"],
  ["play", "Play", "Space"],
  ["forward", "Step forward", "→"],
  ["last", "Last token", "End"],
];
const TOGGLES = { spaces: "Show spaces", table: "As a table", large: "Large type" };
const HINTS = [
  ["Space", "play"],
  ["← →", "step"],
  ["↑ ↓", "choose"],
  ["Enter", "branch"],
  ["M", "next move"],
  ["1 2 3 4", "speed"],
];

/**
 * The bar below the moves: buttons, scrubber, speeds.
 *
 * @param {HTMLElement} wave
 * @param {(action: string) => void} act hears the same names as keys give
 */
export function transportView(wave, act) {
  const buttons = BUTTONS.map(([name, label, key]) => {
    const title = `${label} (${key})`;
    const props = { tabindex: -1, "data-main": name === "play", "aria-label": label, title, click: () => act(name) };
    return h("button.tt-btn", props, icon(/** @type {any} */ (name)));
  });
  const play = buttons[2];
  const where = h("b");
  const speeds = segments("Speed", SPEEDS, (speed) => act(`speed ${speed}`));
  for (const each of speeds.buttons) each.tabIndex = -1;
  const keys = h("span", {}, h("i.tt-key-bar"), "surprise", h("i.tt-key-line"), "entropy, the surprise expected");
  const note = h("div.tt-wave-note.tt-note", {}, keys, where);
  return {
    node: h("div.tt-transport", {}, h("div.tt-buttons", {}, ...buttons), wave, speeds.node, note),
    /** @param {string} place @param {number} speed @param {boolean} playing */
    show(place, speed, playing) {
      put(where, place);
      speeds.press(speed);
      const label = playing ? "Pause" : "Play";
      if (play.getAttribute("aria-label") === label) return;
      attr(play, "aria-label", label);
      play.title = `${label} (Space)`;
      play.replaceChildren(icon(playing ? "pause" : "play"));
    },
  };
}

/** Toggles of the whole view, and which keys there are. @param {(action: string) => void} act */
export function footView(act) {
  /** @type {Record<string, HTMLElement>} */
  const toggles = {};
  for (const [name, label] of Object.entries(TOGGLES)) {
    const props = { "data-toggle": name, "aria-pressed": "false", click: () => act(name) };
    toggles[name] = h("button.tt-toggle", props, label);
  }
  const hints = HINTS.map(([keys, what]) => {
    return h("span", {}, ...keys.split(" ").map((key) => h("kbd", {}, key)), ` ${what}`);
  });
  return {
    node: h("div.tt-foot", {}, ...Object.values(toggles), h("span.tt-note.tt-keys", {}, ...hints)),
    /** Press a toggle. @param {string} name @returns {boolean} whether it is on now */
    flip(name) {
      const on = toggles[name].getAttribute("aria-pressed") !== "true";
      attr(toggles[name], "aria-pressed", String(on));
      return on;
    },
  };
}
