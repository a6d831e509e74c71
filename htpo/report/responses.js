for (const box of document.querySelectorAll(".tokens")) followTokens(box, document.getElementById("said"));
