"use strict";

// Live windows: the last frames of the camera are sent again and again, each time as one
// video, which the server takes as one sign. Loaded after page.js, whose names it uses.

const MOTION_PIXELS = 32;
let live = null;

function bytesOf(text) {
  return [...text].map((character) => character.charCodeAt(0));
}

function numbers(...values) {
  return values.flatMap((value) => [0, 8, 16, 24].map((shift) => (value >>> shift) & 255));
}

function riffChunk(name, ...parts) {
  const size = parts.reduce((sum, one) => sum + one.length, 0);
  return [bytesOf(name), numbers(size), ...parts, ...(size % 2 ? [[0]] : [])];
}

// An AVI file with a JPEG image for each frame: every decoder of videos reads it.
function aviOf(jpegs, width, height, fps) {
  const rate = [1000, Math.round(1000 * fps)];
  const head = numbers(Math.round(1e6 / fps), 0, 0, 0x10, jpegs.length, 0, 1, 0, width, height);
  const stream = [
    ...bytesOf("vidsMJPG"),
    ...numbers(0, 0, 0, ...rate, 0, jpegs.length, 0, 0xffffffff, 0, 0, 0),
  ];
  const pixels = numbers(width * height * 3, 0, 0, 0, 0);
  const format = [...numbers(40, width, height), 1, 0, 24, 0, ...bytesOf("MJPG"), ...pixels];
  const list = riffChunk(
    "LIST",
    bytesOf("strl"),
    ...riffChunk("strh", stream),
    ...riffChunk("strf", format),
  );
  const header = riffChunk(
    "LIST",
    bytesOf("hdrl"),
    ...riffChunk("avih", [...head, ...numbers(0, 0, 0, 0)]),
    ...list,
  );
  const frames = jpegs.flatMap((jpeg) => riffChunk("00dc", jpeg));
  const movie = riffChunk("LIST", bytesOf("movi"), ...frames);
  let place = 4;
  const index = jpegs.flatMap((jpeg) => {
    const entry = [...bytesOf("00dc"), ...numbers(0x10, place, jpeg.length)];
    place += 8 + jpeg.length + (jpeg.length % 2);
    return entry;
  });
  const file = riffChunk(
    "RIFF",
    bytesOf("AVI "),
    ...header,
    ...movie,
    ...riffChunk("idx1", index),
  );
  return new Blob(file.map((part) => (part instanceof Uint8Array ? part : new Uint8Array(part))));
}

// Draws what the camera sees, and returns it as a JPEG and as a small grey picture.
async function grabFrame(canvas, small) {
  const video = element("preview");
  const { videoWidth: width, videoHeight: height } = video;
  const least = Math.min(width, height);
  // Twice the size that the model takes: the server makes it smaller as for any video.
  const scale = Math.min(1, (2 * Math.max(model.clip.width, model.clip.height)) / least);
  canvas.width = Math.round((width * scale) / 2) * 2;
  canvas.height = Math.round((height * scale) / 2) * 2;
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  const side = Math.min(canvas.width, canvas.height);
  const context = small.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(
    canvas,
    (canvas.width - side) / 2,
    (canvas.height - side) / 2,
    ...[side, side, 0, 0, MOTION_PIXELS, MOTION_PIXELS],
  );
  const { data } = context.getImageData(0, 0, MOTION_PIXELS, MOTION_PIXELS);
  const grey = new Float32Array(MOTION_PIXELS ** 2);
  for (let n = 0; n < grey.length; n += 1) {
    grey[n] = 0.299 * data[4 * n] + 0.587 * data[4 * n + 1] + 0.114 * data[4 * n + 2];
  }
  const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.85));
  return { jpeg: new Uint8Array(await blob.arrayBuffer()), grey };
}

function difference(one, other) {
  let sum = 0;
  for (let n = 0; n < one.length; n += 1) sum += Math.abs(one[n] - other[n]);
  return sum / one.length;
}

// As the command does it: the mean change within a fifth of a second, without the
// largest fifth.
function motionOf(frames) {
  const length = model.windows.window_seconds;
  const lag = Math.max(1, Math.round((0.2 * (frames.length - 1)) / length));
  const steps = frames.slice(1).map((frame, n) => {
    const before = frames[Math.max(0, n + 1 - lag)];
    return difference(frame.grey, before.grey);
  });
  steps.sort((one, other) => one - other);
  const kept = steps.slice(0, steps.length - Math.floor(steps.length / 5));
  return kept.reduce((sum, step) => sum + step, 0) / Math.max(kept.length, 1);
}

// Neighbouring windows with the same gloss are one sign; of different signs at about
// the same time the most probable one counts. A sign that is held is named again.
function newFinder({ threshold, min_motion: minMotion }, apart) {
  let candidate = null;
  return (gloss, probability, motion, now) => {
    let found = null;
    if (
      candidate &&
      (now - candidate.last > apart || now - candidate.first > 4 * apart)
    ) {
      found = candidate;
      candidate = null;
    }
    if (probability < threshold || motion < minMotion) return found;
    if (candidate && gloss === candidate.gloss) candidate.last = now;
    if (!candidate || probability > candidate.probability) {
      const first = candidate ? candidate.first : now;
      candidate = { gloss, probability, first, best: now, last: now };
    }
    return found;
  };
}

function showSign({ gloss, probability, best }) {
  const item = document.createElement("li");
  const time = `${Math.floor(best / 60)}:${String(Math.floor(best % 60)).padStart(2, "0")}`;
  item.append(part("time", time), part("gloss", gloss), part("share", percent(probability)));
  element("signs").prepend(item);
}

function showNow({ gloss, probability }, motion, seconds) {
  const moves = motion >= model.windows.min_motion;
  element("now").textContent = moves
    ? `Now: ${gloss}, ${percent(probability)}`
    : "Now: nothing moves";
  element("live-note").textContent =
    `The answer to the last ${model.windows.window_seconds} s came after ` +
    `${seconds.toFixed(2)} s.`;
}

// Takes frames at the times of the grid, whatever the server does meanwhile.
async function takeFrames(run) {
  const step = (1000 * model.windows.window_seconds) / Math.max(model.clip.num_frames - 1, 1);
  const canvas = document.createElement("canvas");
  const small = document.createElement("canvas");
  small.width = MOTION_PIXELS;
  small.height = MOTION_PIXELS;
  let due = performance.now();
  while (live === run) {
    run.frames.push(await grabFrame(canvas, small));
    if (run.frames.length > model.clip.num_frames) run.frames.shift();
    run.size = [canvas.width, canvas.height];
    // After a pause, as of a hidden page, from now on.
    due = Math.max(due + step, performance.now() - step);
    await wait(Math.max(0, due - performance.now()));
  }
}

// Sends the newest window as soon as the one before is answered.
async function sendWindows(run) {
  const { window_seconds: length, step_seconds: step } = model.windows;
  const find = newFinder(model.windows, length / 2);
  const fps = model.clip.num_frames / length;
  while (live === run) {
    const started = performance.now();
    if (run.frames.length === model.clip.num_frames) {
      const frames = [...run.frames];
      const motion = motionOf(frames);
      const video = aviOf(frames.map((frame) => frame.jpeg), ...run.size, fps);
      const options = { method: "POST", body: video, headers: headers() };
      const response = await fetch("predict?top=5", options);
      if (live !== run) return;
      const answer = await response.json();
      if (!response.ok && response.status !== 429) throw new Error(answer.error);
      if (response.ok) {
        const [first] = answer.predictions;
        const now = (started - run.started) / 1000;
        showNow(first, motion, (performance.now() - started) / 1000);
        const sign = find(first.gloss, first.probability, motion, now);
        if (sign) showSign(sign);
      }
    }
    await wait(Math.max(10, 1000 * step - (performance.now() - started)));
  }
}

function liveIsOn(on) {
  element("live").textContent = on ? "Stop naming signs" : "Name signs live";
  element("record").disabled = on;
  element("length").disabled = on;
  if (on) {
    element("signs").replaceChildren();
    element("now").textContent = "Now: …";
    element("live-note").textContent = "";
    element("live-result").hidden = false;
    element("result").hidden = true;
  }
}

async function startLive() {
  if (live) {
    stopLive();
    return;
  }
  if (busy || !stream) return;
  const run = { frames: [], started: performance.now(), size: [0, 0] };
  live = run;
  liveIsOn(true);
  say("Sign: what you sign is named as you go on.");
  try {
    await Promise.all([takeFrames(run), sendWindows(run)]);
  } catch (error) {
    if (live === run) {
      stopLive();
      say(`No result: ${error.message}.`, true);
    }
  }
}

function stopLive() {
  if (!live) return;
  live = null;
  liveIsOn(false);
  say("");
}

element("live").addEventListener("click", startLive);
