"use strict";
const said = document.getElementById("said");
const say = (token) => { said.textContent = token.title; };
for (const box of document.querySelectorAll(".tokens")) {
  const tokens = [...box.querySelectorAll(".token")];
  box.addEventListener("mouseover", (event) => { const t = event.target.closest(".token"); if (t) say(t); });
  box.addEventListener("focusin", (event) => { const t = event.target.closest(".token"); if (t) say(t); });
  box.addEventListener("keydown", (event) => {
    const here = tokens.indexOf(document.activeElement);
    const to = { ArrowRight: here + 1, ArrowLeft: here - 1, ArrowDown: here + 10, ArrowUp: here - 10, Home: 0,
      End: tokens.length - 1 }[event.key];
    if (to === undefined || here < 0) return;
    event.preventDefault();
    const next = tokens[Math.max(0, Math.min(tokens.length - 1, to))];
    tokens[here].tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
}
