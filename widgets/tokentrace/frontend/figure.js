// A figure: the picture that Python drew, its caption, and a button where there is more to explore.

import { attr, h, put } from "./shared/dom.js";
import { kernelLine, NO_ANSWER } from "./shared/kernel.js";
import { ownKeys } from "./shared/own_keys.js";

const OFFER = "Explore this figure: hover and zoom (loads 5 MB)";

/** @param {{model: any, el: HTMLElement}} context */
function renderFigure({ model, el }) {
  const picture = h("div.tt-figure-picture", { role: "img" });
  const caption = h("figcaption.tt-note");
  const explore = h("button.tt-toggle", { click: onExplore }, OFFER);
  const problem = h("p.tt-problem", { role: "alert", hidden: true });
  el.append(ownKeys(h("div.tt-root", {}, h("figure.tt-page.tt-figure", {}, picture, caption, explore, problem))));
  let silent = false;
  const line = kernelLine({ send: (message) => model.send(message), silence: (is) => ((silent = is), draw()) });

  function onExplore() {
    line.ask({ type: "explore", width: Math.round(picture.clientWidth) });
  }
  function drawPicture() {
    picture.innerHTML = model.get("svg");
    attr(picture, "aria-label", model.get("alt"));
    put(caption, model.get("caption"));
  }
  function draw() {
    const state = model.get("explore");
    if (state !== "loading") line.rest();
    picture.hidden = state === "shown";
    explore.hidden = state === "no" || state === "shown";
    attr(explore, "disabled", state === "loading");
    put(explore, state === "loading" ? "Loading …" : OFFER);
    const sentence = silent ? NO_ANSWER : model.get("error");
    problem.hidden = !sentence;
    put(problem, sentence);
  }
  /** @type {[string, () => void][]} */
  const heard = [["change:svg", drawPicture], ["change:caption", drawPicture], ["change:explore", draw], ["change:error", draw]];
  for (const [name, act] of heard) model.on(name, act);
  const onMessage = () => line.heard();
  model.on("msg:custom", onMessage);
  drawPicture();
  draw();
  return () => {
    line.rest();
    for (const [name, act] of heard) model.off(name, act);
    model.off("msg:custom", onMessage);
  };
}

export default { render: renderFigure };
