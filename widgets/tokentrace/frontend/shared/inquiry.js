// A question to the kernel: asked, waited for, then answered or refused; and the sentence when it went wrong.

import { h, put } from "./dom.js";
import { kernelLine, NO_ANSWER } from "./kernel.js";

/**
 * For a view with the traits `status`, `error` and `mode`.
 *
 * @param {{model: any, draw: () => void}} options `draw` shows how far it is, whenever that has changed
 */
export function inquiry({ model, draw }) {
  const problem = h("p.tt-problem", { role: "alert", hidden: true });
  let [silent, waiting] = [false, false];
  const line = kernelLine({ send: (message) => model.send(message), silence: (is) => ((silent = is), draw()) });
  const idle = () => model.get("status").state === "idle";

  function onStatus() {
    line.heard();
    if (idle()) {
      waiting = false;
      line.rest();
    }
    draw();
  }
  function onError() {
    if (model.get("error")) waiting = false;
    if (model.get("error") && idle()) line.rest();
    draw();
  }
  /** @type {[string, () => void][]} */
  const heard = [["change:status", onStatus], ["change:error", onError], ["change:mode", draw], ["msg:custom", () => line.heard()]];

  return {
    problem,
    /** Whether an answer is still awaited. */
    get waiting() {
      return waiting;
    },
    /** @param {object} message */
    ask(message) {
      waiting = true;
      line.ask(message);
    },
    /** Show the sentence about what went wrong, if something did. */
    show() {
      const words = silent ? NO_ANSWER : model.get("error");
      problem.hidden = !words;
      put(problem, words);
    },
    /** Listen, also to what the view itself hears. @param {[string, () => void][]} more */
    listen(more) {
      heard.unshift(...more);
      for (const [name, act] of heard) model.on(name, act);
    },
    stop() {
      line.rest();
      for (const [name, act] of heard) model.off(name, act);
    },
  };
}
