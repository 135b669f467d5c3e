// What the checks need to know from inside a page. Runs before the page's own scripts, and before the clock is
// replaced, so that `frame` waits for real frames.
(() => {
  const realFrame = window.requestAnimationFrame.bind(window);
  const realTimeout = window.setTimeout.bind(window);

  /** Whether a person could see the element, if need be after scrolling. */
  const seen = (element) => {
    const shown = element.checkVisibility({ opacityProperty: true, visibilityProperty: true, contentVisibilityAuto: true });
    const box = element.getBoundingClientRect();
    const onPage = box.right > 1 && box.left < innerWidth - 1 && box.bottom + scrollY > 1;
    return shown && box.width > 0 && box.height > 0 && onPage;
  };

  const opacity = (element) => {
    let product = 1;
    for (let each = element; each; each = each.parentElement) product *= Number(getComputedStyle(each).opacity);
    return product;
  };

  /** The texts a person can read, as far as their middle lies in the root's own box. */
  const texts = (root) => {
    const frame = root === document.body ? null : root.getBoundingClientRect();
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    const found = [];
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const text = node.data.replace(/\s+/g, " ").trim();
      const parent = node.parentElement;
      if (!text || !parent || !seen(parent) || opacity(parent) < 0.5) continue;
      const range = document.createRange();
      range.selectNodeContents(node);
      const box = range.getBoundingClientRect();
      const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
      if (frame && (x < frame.left || x > frame.right || y < frame.top || y > frame.bottom)) continue;
      found.push(text);
    }
    return found;
  };

  /** What can be seen behind the texts at 9 x 9 points of the window: a colour or a gradient each. */
  const grounds = () => {
    const found = [];
    for (let row = 1; row < 10; row++) {
      for (let column = 1; column < 10; column++) {
        const point = [(innerWidth * column) / 10, (innerHeight * row) / 10];
        found.push(ground(document.elementsFromPoint(...point)));
      }
    }
    return found;
  };

  const ground = (elements) => {
    for (const element of elements) {
      const style = getComputedStyle(element);
      if (style.backgroundImage.includes("gradient")) return style.backgroundImage;
      if (luminance(style.backgroundColor) !== null) return style.backgroundColor;
    }
    return "rgb(255, 255, 255)";
  };

  const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });

  /** The brightness of a colour, or of a gradient's first, from 0 to 1; null where it lets through what is behind. */
  const luminance = (text) => {
    const gradient = text.match(/(?:rgb|hsl|color|oklch|oklab|lab|lch)a?\([^()]*\)|#[0-9a-f]{3,8}/i);
    probe.clearRect(0, 0, 1, 1);
    probe.fillStyle = "rgba(0, 0, 0, 0)";
    probe.fillStyle = text.includes("gradient") && gradient ? gradient[0] : text;
    probe.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = probe.getImageData(0, 0, 1, 1).data;
    return alpha < 128 ? null : (0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255;
  };

  /** Move the CSS transitions and animations on, as time would have. */
  const advanceAnimations = (milliseconds) => {
    for (const animation of document.getAnimations()) {
      if (animation.timeline !== document.timeline || animation.playState !== "running") continue;
      animation.currentTime = (animation.currentTime ?? 0) + milliseconds;
    }
  };

  /** Two real frames: after them styles, observers and events have followed. */
  const frame = () =>
    Promise.race([
      new Promise((done) => realFrame(() => realFrame(done))),
      new Promise((done) => realTimeout(done, 300)),
    ]);

  const moved = [];
  for (const type of ["transitionrun", "animationstart"]) {
    document.addEventListener(type, (event) => moved.push(event.target), { capture: true });
  }

  Object.defineProperty(window, "__suture", {
    value: Object.freeze({
      seen, texts, grounds, luminance, advanceAnimations, frame, moved,
    }),
  });
})();
