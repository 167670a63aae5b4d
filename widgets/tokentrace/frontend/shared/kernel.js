// The line to the kernel: numbered requests, and noticing when nobody answers.

const TICK = 1000;
const PING_EVERY = 3000;
const SILENCE = 10_000;

export const NO_ANSWER = "The kernel does not answer. What you see stays; reload the page to write again.";

/**
 * @param {object} options
 * @param {(message: object) => void} options.send
 * @param {(silent: boolean) => void} options.silence told when the kernel falls silent, and when it is heard again
 * @param {() => number} [options.now] milliseconds
 * @param {(tick: () => void, ms: number) => any} [options.every]
 * @param {(handle: any) => void} [options.never]
 */
export function kernelLine({ send, silence, now = Date.now, every = setInterval, never = clearInterval }) {
  let request = 0;
  let timer = 0;
  let silent = false;
  let pinged = 0;
  /** @type {number | null} since when an answer is owed */
  let owed = null;

  function fall() {
    if (silent) return;
    silent = true;
    silence(true);
  }

  /** @param {object} message */
  function post(message) {
    try {
      send(message);
    } catch {
      // JupyterLab knows that the kernel is gone and refuses to send.
      fall();
    }
  }

  function tick() {
    if (owed !== null && now() - owed >= SILENCE) fall();
    if (now() - pinged >= PING_EVERY) {
      pinged = now();
      owed ??= pinged;
      post({ type: "ping", request });
    }
  }

  return {
    /** Ask for something that takes time; the watch lasts until `rest`. @param {object} message */
    ask(message) {
      request += 1;
      owed = pinged = now();
      never(timer);
      timer = every(tick, TICK);
      post({ ...message, request });
      return request;
    },
    /** Something came from the kernel. */
    heard() {
      owed = null;
      if (silent) {
        silent = false;
        silence(false);
      }
    },
    /** Nothing is owed any more. */
    rest() {
      never(timer);
      owed = null;
    },
  };
}
