"use strict";
// Draws and plays the calls of this page. Everything it shows arrives as JSON in the page; text is
// only ever drawn on a canvas or set as textContent, never parsed as HTML.
(() => {
  const calls = JSON.parse(document.getElementById("calls").textContent);
  const longest = Math.max(...calls.map((call) => call.duration_ms), 1000);
  const players = [];

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const clock = (ms) => {
    const s = Math.max(0, ms) / 1000;
    return Math.floor(s / 60) + ":" + (s % 60).toFixed(1).padStart(4, "0");
  };
  const lane = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

  const RULER = 24, LANE = 96, STRIP = 44, PAD = 4;
  const HEIGHT = RULER + LANE + STRIP + LANE + 2 * PAD;
  const TOP = { party: RULER + PAD, agent: RULER + PAD + LANE + STRIP };
  const MIDDLE = RULER + PAD + LANE + STRIP / 2;

  class Player {
    constructor(root, call) {
      this.call = call;
      this.root = root;
      this.scroll = root.querySelector(".scroll");
      this.canvas = root.querySelector("canvas");
      this.audio = root.querySelector("audio");
      this.button = root.querySelector(".play");
      this.clock = root.querySelector(".clock");
      this.lanes = call.lanes.map(lane);
      this.zoom = 1;
      this.still = document.createElement("canvas");
      this.lines = [...root.closest("section").querySelectorAll("[data-from]")];
      this.wire();
    }

    wire() {
      this.button.addEventListener("click", () => this.toggle());
      this.audio.addEventListener("play", () => { this.button.textContent = "Pause"; this.tick(); });
      this.audio.addEventListener("pause", () => { this.button.textContent = "Play"; this.paint(); });
      this.canvas.addEventListener("click", (event) => {
        const box = this.canvas.getBoundingClientRect();
        this.seek((event.clientX - box.left) / this.scale);
      });
      this.canvas.addEventListener("keydown", (event) => {
        const step = { ArrowLeft: -1000, ArrowRight: 1000 }[event.key];
        if (step) this.seek(this.now() + step);
        else if (event.key === " ") this.toggle();
        else return;
        event.preventDefault();
      });
      for (const button of this.root.querySelectorAll("[data-zoom]")) {
        button.addEventListener("click", () => {
          this.zoom = Math.min(6, Math.max(1, this.zoom * Number(button.dataset.zoom)));
          this.draw();
          this.follow(true);
        });
      }
      for (const button of this.root.querySelectorAll("[data-channel]")) {
        button.addEventListener("click", () => {
          const on = button.getAttribute("aria-pressed") !== "true";
          button.setAttribute("aria-pressed", String(on));
          this.mixer();
          this.gains[Number(button.dataset.channel)].gain.value = on ? 1 : 0;
        });
      }
      for (const line of this.lines) {
        const button = line.querySelector("button");
        if (button) button.addEventListener("click", () => { this.seek(Number(line.dataset.from)); this.start(); });
      }
    }

    // Both channels in the middle, each with its own switch; built on the first touch because browsers
    // do not let a page open an audio context before one.
    mixer() {
      if (this.gains) return;
      const context = new AudioContext();
      const source = context.createMediaElementSource(this.audio);
      const splitter = context.createChannelSplitter(2);
      const merger = context.createChannelMerger(1);
      source.connect(splitter);
      this.gains = [0, 1].map((channel) => {
        const gain = context.createGain();
        splitter.connect(gain, channel);
        gain.connect(merger, 0, 0);
        return gain;
      });
      merger.connect(context.destination);
      this.context = context;
    }

    toggle() { if (this.audio.paused) this.start(); else this.audio.pause(); }

    start() {
      for (const other of players) if (other !== this) other.audio.pause();
      this.mixer();
      this.context.resume();
      this.audio.play();
    }

    now() { return this.audio.currentTime * 1000; }

    seek(ms) {
      this.audio.currentTime = Math.min(this.call.duration_ms, Math.max(0, ms)) / 1000;
      this.paint();
      this.follow(false);
    }

    tick() {
      this.paint();
      this.follow(false);
      if (!this.audio.paused) requestAnimationFrame(() => this.tick());
    }

    follow(centre) {
      const x = this.now() * this.scale, left = this.scroll.scrollLeft, width = this.scroll.clientWidth;
      if (centre || x < left || x > left + width * 0.9) this.scroll.scrollLeft = x - width * 0.3;
    }

    // The picture without the cursor, drawn once per size, zoom and theme.
    draw() {
      const seconds = longest / 1000;
      this.width = Math.max(this.scroll.clientWidth, seconds * 42) * this.zoom;
      this.scale = this.width / (longest * 1.005);
      const ratio = Math.min(window.devicePixelRatio || 1, 16000 / this.width);
      for (const canvas of [this.canvas, this.still]) {
        canvas.width = Math.round(this.width * ratio);
        canvas.height = Math.round(HEIGHT * ratio);
      }
      this.canvas.style.width = this.width + "px";
      this.canvas.style.height = HEIGHT + "px";
      const pen = this.still.getContext("2d");
      pen.setTransform(ratio, 0, 0, ratio, 0, 0);
      this.ratio = ratio;
      this.ruler(pen);
      this.call.spans.forEach((span) => this.span(pen, span));
      ["party", "agent"].forEach((who, index) => { if (this.lanes[index]) this.wave(pen, who, this.lanes[index]); });
      this.call.spans.forEach((span) => this.words(pen, span));
      this.call.interruptions.forEach((cut) => this.cut(pen, cut));
      this.call.gaps.forEach((gap) => this.gap(pen, gap));
      this.paint();
    }

    font(pen, size, weight = 500) { pen.font = weight + " " + size + "px ui-sans-serif, system-ui, sans-serif"; }

    ruler(pen) {
      const step = this.scale * 1000 > 90 ? 0.5 : this.scale * 1000 > 34 ? 1 : 2;
      this.font(pen, 11);
      pen.textBaseline = "middle";
      for (let s = 0; s * 1000 <= longest; s += step) {
        const x = s * 1000 * this.scale;
        pen.fillStyle = colour("line");
        pen.fillRect(x, RULER - 5, 1, HEIGHT);
        pen.fillStyle = colour("faint");
        if (s % 1 === 0) { pen.textAlign = "left"; pen.fillText(s + " s", x + 4, RULER / 2); }
      }
      pen.fillStyle = colour("soft");
    }

    span(pen, span) {
      const x = span.start_ms * this.scale, width = Math.max(2, (span.end_ms - span.start_ms) * this.scale);
      pen.fillStyle = colour(span.who + "-wash");
      pen.beginPath();
      pen.roundRect(x, TOP[span.who], width, LANE, 7);
      pen.fill();
    }

    wave(pen, who, tops) {
      const middle = TOP[who] + LANE / 2 + (who === "party" ? 8 : -8), half = LANE / 2 - 14;
      const loudest = Math.max(24, ...tops);
      pen.fillStyle = colour(who);
      pen.globalAlpha = 0.9;
      const perPixel = 1 / (this.scale * this.call.step_ms);
      const end = Math.min(this.width, this.call.duration_ms * this.scale);
      for (let x = 0; x < end; x += 1) {
        const from = Math.floor(x * perPixel), to = Math.max(from + 1, Math.floor((x + 1) * perPixel));
        let top = 0;
        for (let i = from; i < to && i < tops.length; i += 1) if (tops[i] > top) top = tops[i];
        const height = Math.max(0.5, Math.pow(top / loudest, 0.75) * half);
        pen.fillRect(x, middle - height, 1, 2 * height);
      }
      pen.globalAlpha = 1;
    }

    words(pen, span) {
      const x = span.start_ms * this.scale, room = (span.end_ms - span.start_ms) * this.scale - 12;
      if (!span.text || room < 22) return;
      this.font(pen, 11.5, 550);
      let text = span.text;
      if (pen.measureText(text).width > room) {
        while (text.length > 1 && pen.measureText(text + "…").width > room) text = text.slice(0, -1);
        text = text.trimEnd() + "…";
      }
      pen.fillStyle = colour(span.who);
      pen.textAlign = "left";
      pen.textBaseline = "middle";
      pen.fillText(text, x + 6, span.who === "party" ? TOP.party + 11 : TOP.agent + LANE - 11);
    }

    gap(pen, gap) {
      const from = gap.from_ms * this.scale, to = Math.max(gap.to_ms * this.scale, from + 2);
      pen.strokeStyle = pen.fillStyle = colour("ink");
      pen.lineWidth = 1.5;
      pen.beginPath();
      pen.moveTo(from, MIDDLE - 15); pen.lineTo(from, MIDDLE + 1);
      pen.moveTo(to, MIDDLE - 1); pen.lineTo(to, MIDDLE + 15);
      pen.moveTo(from, MIDDLE); pen.lineTo(to, MIDDLE);
      pen.stroke();
      const label = gap.label;
      this.font(pen, 11.5, 650);
      const width = pen.measureText(label).width;
      const x = Math.min(Math.max((from + to) / 2, width / 2 + 6), this.width - width / 2 - 6);
      pen.fillStyle = colour("card");
      pen.beginPath();
      pen.roundRect(x - width / 2 - 6, MIDDLE - 9, width + 12, 18, 9);
      pen.fill();
      pen.strokeStyle = colour("line");
      pen.lineWidth = 1;
      pen.stroke();
      pen.fillStyle = colour("ink");
      pen.textAlign = "center";
      pen.textBaseline = "middle";
      pen.fillText(label, x, MIDDLE + 0.5);
    }

    cut(pen, cut) {
      const from = cut.at_ms * this.scale, to = cut.silent_ms * this.scale;
      pen.fillStyle = colour("alarm-wash");
      pen.fillRect(from, TOP.party, Math.max(2, to - from), 2 * LANE + STRIP);
      pen.strokeStyle = colour("alarm");
      pen.lineWidth = 1.5;
      pen.setLineDash([4, 3]);
      pen.beginPath();
      pen.moveTo(from, RULER - 2); pen.lineTo(from, HEIGHT);
      pen.moveTo(to, TOP.party + LANE); pen.lineTo(to, HEIGHT);
      pen.stroke();
      pen.setLineDash([]);
      this.font(pen, 11.5, 650);
      pen.fillStyle = colour("alarm");
      pen.textAlign = "left";
      pen.textBaseline = "middle";
      pen.fillText(cut.label, to + 7, TOP.agent + 12);
    }

    paint() {
      const pen = this.canvas.getContext("2d"), ms = this.now();
      pen.setTransform(1, 0, 0, 1, 0, 0);
      pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
      pen.drawImage(this.still, 0, 0);
      pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
      const x = ms * this.scale;
      pen.fillStyle = colour("cursor");
      pen.fillRect(x - 0.75, RULER - 8, 1.5, HEIGHT);
      pen.beginPath();
      pen.arc(x, RULER - 9, 4, 0, 7);
      pen.fill();
      this.clock.textContent = clock(ms) + " / " + clock(this.call.duration_ms);
      this.canvas.setAttribute("aria-valuenow", (ms / 1000).toFixed(1));
      const playing = !this.audio.paused;
      for (const line of this.lines) {
        const on = playing && ms >= Number(line.dataset.from) && ms < Number(line.dataset.to);
        line.classList.toggle("now", on);
      }
    }
  }

  for (const call of calls) {
    const root = document.getElementById(call.id);
    if (root && call.lanes.length) players.push(new Player(root, call));
  }
  const redraw = () => players.forEach((player) => player.draw());
  redraw();
  window.addEventListener("resize", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
})();
