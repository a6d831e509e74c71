"use strict";
// A response's tokens: what is pointed at or focused is said, and the arrow keys, Home and End walk through them.
const followTokens = (box, said) => {
  const say = (event) => {
    const token = event.target.closest(".token");
    if (token) said.textContent = token.getAttribute("aria-label");
  };
  box.addEventListener("mouseover", say);
  box.addEventListener("focusin", say);
  box.addEventListener("keydown", (event) => {
    const all = [...box.querySelectorAll(".token")], here = all.indexOf(document.activeElement);
    const to = { ArrowRight: here + 1, ArrowLeft: here - 1, ArrowDown: here + 10, ArrowUp: here - 10, Home: 0, End: all.length - 1 }[event.key];
    if (to === undefined || here < 0) return;
    event.preventDefault();
    const next = all[Math.max(0, Math.min(all.length - 1, to))];
    all[here].tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
};
