// The page around a notebook: theme, large type, code, and what the kernel is doing.
// Loaded in the head, before anything is painted; clicks are caught on the document because
// the page goes on arriving while the kernel works.
const tokentrace = (() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");

  const recall = (name, otherwise) => {
    try { return localStorage.getItem(`tokentrace.${name}`) ?? otherwise; } catch { return otherwise; }
  };
  const keep = (name, value) => {
    try { localStorage.setItem(`tokentrace.${name}`, value); } catch { /* storage may be forbidden: then it lasts for this page */ }
  };
  const choice = { theme: recall("theme", "auto"), projector: recall("projector", "off"), code: recall("code", "off") };

  /** Write the reader's choices on the page: attributes that the host's styles and every view read. */
  function dress() {
    const dark = choice.theme === "dark" || (choice.theme === "auto" && system.matches);
    for (const element of [root, document.body]) {
      if (!element) continue;
      element.dataset.jpThemeLight = String(!dark);
      element.dataset.jpThemeName = dark ? "JupyterLab Dark" : "JupyterLab Light";
      element.toggleAttribute("data-tt-projector", choice.projector === "on");
      element.toggleAttribute("data-tt-code", choice.code === "on");
    }
    for (const button of document.querySelectorAll("[data-tt-do]")) {
      const what = button.dataset.ttDo;
      if (what === "theme") button.textContent = `Theme: ${choice.theme}`;
      else button.setAttribute("aria-pressed", String(choice[what] === "on"));
    }
    window.dispatchEvent(new Event("resize")); // figures that measure themselves
  }

  const next = {
    theme: { auto: "light", light: "dark", dark: "auto" },
    projector: { off: "on", on: "off" },
    code: { off: "on", on: "off" },
  };

  document.addEventListener("click", (event) => {
    const menu = document.querySelector(".tt-course__chapters[open]");
    if (menu && !menu.contains(event.target)) menu.open = false;
    const what = event.target.closest?.("[data-tt-do]")?.dataset.ttDo;
    if (!what) return;
    choice[what] = next[what][choice[what]] ?? (what === "theme" ? "auto" : "off");
    keep(what, choice[what]);
    dress();
  });
  document.addEventListener("keydown", (event) => {
    const menu = document.querySelector(".tt-course__chapters[open]");
    if (event.key !== "Escape" || !menu) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
  system.addEventListener("change", dress);
  window.addEventListener("storage", (event) => {
    const name = event.key?.replace("tokentrace.", "");
    if (name in choice && event.newValue) { choice[name] = event.newValue; dress(); }
  });
  // A page taken back from the browser's memory has lost its kernel.
  window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

  // Voila closes a page's kernel only for a request that carries this cookie, and sets none itself (voila#1458).
  if (!/\b_xsrf=/.test(document.cookie)) {
    const value = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0"));
    document.cookie = `_xsrf=${value.join("")}; path=/; SameSite=Lax`;
  }
  dress();
  return { dress };
})();

// Voila's own hooks, called by the page as it arrives.
(() => {
  const slow = 60_000; // ms until the reader is told that the live parts do not come

  function show(state, sentence, share) {
    document.body.dataset.ttState = state;
    const status = document.querySelector(".tt-course__status");
    if (status && status.textContent !== sentence) status.textContent = sentence;
    document.querySelector(".tt-course__progress")?.style.setProperty("--tt-share", share);
  }

  window.voila_heartbeat = () => {};
  window.voila_process = (cell, cells) => {
    
    show("running", `Running the lesson, ${Math.round((100 * cell) / cells)}%`, (0.9 * cell) / cells);
  };
  window.voila_finish = () => {
    const cells = document.getElementById("rendered_cells");
    show("connecting", "Starting the views", 0.95);
    const filled = (note) => note.parentElement.querySelector(".jp-OutputArea-output > *");
    const settle = () => {
      if (!document.getElementById("main")?.contains(cells)) return;
      if (cells.querySelector('script[type="application/vnd.voila.cell-output+json"]')) return;
      if (![...cells.querySelectorAll(".tt-waiting")].every(filled)) return;
      observer.disconnect();
      clearTimeout(late);
      show("ready", "", 1);
    };
    const observer = new MutationObserver(settle);
    observer.observe(document.body, { childList: true, subtree: true });
    const late = setTimeout(() => show("late", "The live parts did not start. Reload the page.", 0), slow);
  };
})();
