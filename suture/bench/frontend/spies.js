// Counts what a page calls that cannot be seen from outside, and makes its luck repeatable. Runs after the clock is
// replaced.
(() => {
  const counts = { frames: 0, observed: 0 };

  const frame = window.requestAnimationFrame;
  window.requestAnimationFrame = (callback) => {
    counts.frames++;
    return frame.call(window, callback);
  };

  const observe = IntersectionObserver.prototype.observe;
  IntersectionObserver.prototype.observe = function (target) {
    counts.observed++;
    return observe.call(this, target);
  };

  // The same page has the same luck each time (mulberry32).
  let seed = 20260615;
  Math.random = () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };

  Object.defineProperty(window, "__spied", { value: counts });
})();
