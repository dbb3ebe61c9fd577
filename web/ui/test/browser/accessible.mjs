// What WCAG AA asks of a drawn page, as far as a script can tell: contrast of every text, names of every control.

/** Texts below the contrast of AA, as `text: 3.9 (colour on ground)`; runs in the page. */
export function lowContrast() {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const known = new Map();
  /** Any CSS colour as red, green, blue (0 to 255) and alpha (0 to 1). */
  const rgba = (colour) => {
    if (!known.has(colour)) {
      context.clearRect(0, 0, 1, 1);
      context.fillStyle = colour;
      context.fillRect(0, 0, 1, 1);
      const [red, green, blue, alpha] = context.getImageData(0, 0, 1, 1).data;
      known.set(colour, [red, green, blue, alpha / 255]);
    }
    return known.get(colour);
  };
  const over = ([r, g, b, a], [r2, g2, b2]) => [r * a + r2 * (1 - a), g * a + g2 * (1 - a), b * a + b2 * (1 - a), 1];
  const light = ([red, green, blue]) => {
    const linear = (value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
  };
  const groundOf = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      const layer = rgba(getComputedStyle(at).backgroundColor);
      if (layer[3] > 0) layers.push(layer);
      if (layer[3] === 1) break;
    }
    return layers.reverse().reduce((ground, layer) => over(layer, ground), rgba(getComputedStyle(document.body).backgroundColor));
  };
  const found = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    const text = node.textContent.trim();
    if (text === "" || !element || element.closest("[disabled], [aria-hidden=true], title, .dim, .stale, option, textarea") || !element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    const style = getComputedStyle(element);
    const colour = element instanceof SVGElement ? style.fill : style.color;
    if (rgba(colour)[3] === 0) continue;
    const ground = groundOf(element);
    const [a, b] = [light(over(rgba(colour), ground)), light(ground)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const size = Number.parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (isLarge ? 3 : 4.5)) found.add(`${text.slice(0, 40)}: ${ratio.toFixed(2)} (${colour} on ${ground.slice(0, 3).map(Math.round)})`);
  }
  return [...found];
}

/** Controls and pictures that say nothing to those who cannot see them; runs in the page. */
export function unnamed() {
  const named = (element) => element.getAttribute("aria-label") || element.getAttribute("aria-labelledby") || element.title || element.textContent.trim() || element.labels?.length > 0 || element.getAttribute("alt");
  return [...document.querySelectorAll("button, a[href], input, select, textarea, [role=img], [role=link], summary, dialog[open] input")].filter((element) => element.checkVisibility() && !named(element)).map((element) => element.outerHTML.slice(0, 120));
}
