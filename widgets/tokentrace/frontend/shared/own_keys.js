// Keys that belong to a view's own controls.

/**
 * Keep plain keys from the host: JupyterLab would move to another cell when an arrow key meets a radio button.
 * Its `data-lm-suppress-shortcuts` does not help where a shortcut is bound to whatever has the focus.
 *
 * @param {HTMLElement} root
 */
export function ownKeys(root) {
  root.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey && !event.altKey) event.stopPropagation();
  });
  return root;
}
