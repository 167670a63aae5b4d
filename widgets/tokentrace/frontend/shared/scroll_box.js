// A box for a text that is longer than the page has room for: it scrolls by whole lines.

import { h } from "./dom.js";
import { clamp } from "./format.js";

/** @param {HTMLElement} content a text of chips */
export function scrollBox(content) {
  const node = h("div.tt-scrolltext", { tabindex: -1, scroll: () => (offset = node.scrollTop) }, content);
  /** @type {Map<Element, number> | null} line of each chip; asking the page at every step would cost a layout each */
  let lines = null;
  let height = 1;
  let room = 1;
  let offset = 0;
  const forget = () => (lines = null);
  new ResizeObserver(forget).observe(content);

  function measure() {
    const chips = /** @type {HTMLElement[]} */ ([...content.querySelectorAll(".tt-chip")]);
    height = parseFloat(getComputedStyle(content).lineHeight);
    room = Math.round(node.clientHeight / height);
    return new Map(chips.map((chip) => [chip, Math.floor((chip.offsetTop + chip.offsetHeight / 2) / height)]));
  }

  return {
    node,
    forget,
    /** Scroll until a chip can be seen. @param {Element | undefined} chip */
    reveal(chip) {
      if (!chip) return;
      if (!lines?.has(chip)) lines = measure();
      const line = lines.get(chip) ?? 0;
      const top = Math.round(offset / height);
      const wanted = clamp(top, line - room + 1, line);
      if (wanted !== top) node.scrollTop = offset = wanted * height;
    },
  };
}
