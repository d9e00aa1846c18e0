"use strict";
// Plays the recordings of this page, one at a time: a click on a strip goes there, a line shows where it is.
(() => {
  const strips = [...document.querySelectorAll(".strip")].filter((strip) => strip.querySelector("audio"));
  const clock = (s) => Math.floor(s / 60) + ":" + (s % 60).toFixed(1).padStart(4, "0");
  for (const strip of strips) {
    const audio = strip.querySelector("audio"), button = strip.querySelector("button");
    const line = strip.querySelector(".at"), told = strip.querySelector(".clock"), wave = strip.querySelector(".wave");
    const length = Number(strip.dataset.ms) / 1000, whole = told.textContent;
    const show = () => {
      line.style.display = "block";
      line.style.left = Math.min(100, 100 * audio.currentTime / length) + "%";
      told.textContent = clock(audio.currentTime) + " / " + whole;
      button.textContent = audio.paused ? "Play" : "Pause";
      if (!audio.paused) requestAnimationFrame(show);
    };
    const start = () => {
      for (const other of strips) if (other !== strip) other.querySelector("audio").pause();
      audio.play();
    };
    for (const name of ["play", "pause", "seeked"]) audio.addEventListener(name, show);
    button.addEventListener("click", () => { if (audio.paused) start(); else audio.pause(); });
    wave.addEventListener("click", (event) => {
      const box = wave.getBoundingClientRect();
      audio.currentTime = length * (event.clientX - box.left) / box.width;
      start();
    });
  }
})();
