// Makes the timeline play: whatever carries data-start sends the player there, by mouse or keyboard.
(() => {
  const player = () => document.querySelector("#hawk-video video");
  let stopAt = null;

  function play(start, end) {
    const video = player();
    if (!video) return;
    stopAt = end;
    const go = () => {
      video.currentTime = start;
      video.play().catch(() => { video.muted = true; video.play().catch(() => {}); });
    };
    if (video.readyState >= 1) go(); else video.addEventListener("loadedmetadata", go, { once: true });
  }

  function follow(event) {
    const video = player();
    if (event.target !== video) return;
    if (stopAt !== null && video.currentTime >= stopAt) { video.pause(); stopAt = null; }
    document.querySelectorAll(".hawk-playhead").forEach((line) => {
      const x = `${(100 * video.currentTime) / Number(line.dataset.duration)}%`;
      line.setAttribute("x1", x);
      line.setAttribute("x2", x);
      line.setAttribute("visibility", "visible");
    });
  }

  function activate(element) {
    const panel = element.dataset.open && document.getElementById(element.dataset.open);
    if (panel) { panel.open = true; panel.scrollIntoView({ block: "nearest", behavior: "smooth" }); }
    play(Number(element.dataset.start), Number(element.dataset.end));
  }

  document.addEventListener("timeupdate", follow, true);
  document.addEventListener("seeking", (e) => {
    const video = player();
    // Somebody moved the player by hand to another place: let it run on from there.
    if (e.target === video && stopAt !== null && video.currentTime > stopAt) stopAt = null;
  }, true);
  document.addEventListener("click", (event) => {
    const element = event.target.closest("[data-start]");
    if (element) activate(element);
  });
  document.addEventListener("keydown", (event) => {
    const element = event.target.closest && event.target.closest("g[data-start]");
    if (element && (event.key === "Enter" || event.key === " ")) { event.preventDefault(); activate(element); }
  });
  window.hawkeye = {
    playFirst() {
      const first = document.querySelector("#hawk-results [data-first]");
      if (first) play(Number(first.dataset.start), Number(first.dataset.end));
    },
  };
})();
