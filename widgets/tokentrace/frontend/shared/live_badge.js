// The badge of a view that shows a record until something was computed here.

import { attr, h } from "./dom.js";

/**
 * Draw RECORDED or LIVE and the model's name.
 *
 * @param {HTMLElement} badge
 * @param {string} mode
 * @param {boolean} busy
 * @param {string} name
 */
export function liveBadge(badge, mode, busy, name) {
  const kind = busy || mode === "live" ? "live" : "recorded";
  attr(badge, "data-kind", kind);
  attr(badge, "data-running", busy);
  badge.replaceChildren(h("b", {}, kind.toUpperCase()), ` ${name}`);
}
