// Keys of a view: what each does, and one tab stop for many controls.

/** @type {Record<string, string>} */
const ACTIONS = {
  " ": "play",
  ArrowRight: "forward",
  ArrowLeft: "back",
  Home: "first",
  End: "last",
  ArrowDown: "down",
  ArrowUp: "up",
  Escape: "home",
  b: "run",
  m: "move",
  s: "spaces",
  t: "table",
  l: "large",
  1: "speed 1",
  2: "speed 4",
  3: "speed 15",
  4: "speed 0",
};

/**
 * What a key asks for: the name of an action, or "" if it is none of ours.
 *
 * @param {{key: string, ctrlKey?: boolean, metaKey?: boolean, altKey?: boolean, target?: any}} event
 */
export function keyAction({ key, ctrlKey, metaKey, altKey, target }) {
  if (ctrlKey || metaKey || altKey || isTyping(target)) return "";
  return ACTIONS[key.length === 1 ? key.toLowerCase() : key] ?? "";
}

/** Whether an element takes text. @param {any} target */
export function isTyping(target) {
  return /^(INPUT|TEXTAREA|SELECT)$/.test(target?.tagName ?? "") || Boolean(target?.isContentEditable);
}

/**
 * Let one of a group's controls be its tab stop: the one that had the focus last.
 *
 * @param {HTMLElement} group
 * @param {HTMLElement} first the stop before anything was focused
 */
export function rovingFocus(group, first) {
  let stop = first;
  group.addEventListener("focusin", ({ target }) => {
    if (!(target instanceof HTMLElement) || target === stop || target.tabIndex < -1) return;
    stop.tabIndex = -1;
    stop = target;
    stop.tabIndex = 0;
  });
  return {
    /** The control to focus; falls back when it has left the page. */
    get stop() {
      if (!stop.isConnected || stop.hidden) {
        stop.tabIndex = -1;
        stop = first;
        stop.tabIndex = 0;
      }
      return stop;
    },
  };
}
