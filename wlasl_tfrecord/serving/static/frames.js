// From a video to the frames of a clip, as the library does it in Python: frames at even
// distances from first to last (video/sampling.py), in the pixels that it would have.

import { checkSize, fitFrame, pixelsOf } from "./pixels.js";
import { MOST_FRAMES, factsOf } from "./video_file.js";

// A frame whose time nobody tells is taken to last this long.
const USUAL_STEP_SECONDS = 1 / 30;
// How often to look whether a player shows a frame by now, every few milliseconds; it is
// usually there at once.
const MOST_LOOKS = 400;
const LOOK_MILLISECONDS = 4;
// At the first, each frame of a played video is shown long enough to be seen on a machine
// that has nothing else to do.
const RATES = [0.5, 0.25, 0.0625];
const MOST_PLAY_SECONDS = 120;
// By which a frame may come late on a machine that has much else to do.
const MOST_DELAY_SECONDS = 10;
const TOO_LONG = "this browser does not find every frame of the video; cut it to the sign";
const UNIT_SECONDS = 1e-6;

class NotPlayed extends Error {
  constructor() {
    super("not a video that this browser plays");
  }
}

/**
 * Decodes a video and chooses, crops and resizes its frames.
 *
 * @param {Blob} video A file that the browser plays.
 * @param {{num_frames: number, height: number, width: number}} clip
 * @param {"center" | "pad" | "squash"} framing
 * @returns {Promise<{frames: Uint8Array, numVideoFrames: number, indices: number[],
 *   numDistinctFrames: number}>} RGB, [T, H, W, 3].
 */
export async function clipOf(video, clip, framing) {
  const facts = await factsOf(video);
  // Where frames are stored in another order than they are shown, Chromium may seek to a
  // key frame that is shown after the wanted one, leave out what its decoder cannot make
  // without those before, or give up. Then they are played, slower if some were missed.
  for (const rate of [null, ...RATES]) {
    try {
      return await decodedClip(video, clip, framing, facts, rate);
    } catch (error) {
      if (!(error instanceof NotPlayed) || rate === RATES.at(-1)) throw error;
    }
  }
}

/** Decodes by seeking, or by playing if there is a rate for it. */
async function decodedClip(video, clip, framing, facts, rate) {
  const player = document.createElement("video");
  player.muted = true;
  player.preload = "auto";
  player.src = URL.createObjectURL(video);
  try {
    await happened(player, "loadedmetadata");
    checkSize(player.videoWidth, player.videoHeight);
    await happened(player, "loadeddata");
    // Of a video that it cannot decode a browser may still play the sound.
    if (!player.videoWidth) throw new NotPlayed();
    const first = await shownTime(player);
    const told = rate ? facts.times : null;
    const times = told ?? (await timesOf(player, first, facts.times));
    if (rate && !(times.at(-1) / rate <= MOST_PLAY_SECONDS)) {
      throw new Error(TOO_LONG);
    }
    if (rate) await seek(player, 0);
    const frameAt = rate ? playedFrame : soughtFrame;
    player.playbackRate = rate ?? 1;
    const indices = chosenFrames(times, clip.num_frames);
    const frameBytes = clip.height * clip.width * 3;
    const frames = new Uint8Array(clip.num_frames * frameBytes);
    for (const [place, index] of indices.entries()) {
      const out = frames.subarray(place * frameBytes, (place + 1) * frameBytes);
      if (place && index === indices[place - 1]) {
        // The same frame again: a video shorter than the clip repeats frames.
        out.set(frames.subarray((place - 1) * frameBytes, place * frameBytes));
        continue;
      }
      const frame = await frameAt(player, first, times, index);
      try {
        const image = await pixelsOf(player, frame, facts.matrix);
        fitFrame(image, framing, out, clip.height, clip.width);
      } finally {
        frame.close();
      }
    }
    return {
      frames,
      numVideoFrames: times.length,
      indices,
      numDistinctFrames: new Set(indices).size,
    };
  } finally {
    URL.revokeObjectURL(player.src);
    player.removeAttribute("src");
    player.load();
  }
}

/**
 * Chooses T frames of N: evenly over them, or over their time if the rate varies.
 *
 * @param {number[]} times The seconds from the first frame to each.
 * @returns {number[]} T indices in [0, N), never decreasing.
 */
export function chosenFrames(times, count) {
  if (!rateVaries(times)) return evenlySpaced(times.length, count);
  const last = times.at(-1);
  return Array.from({ length: count }, (_, step) => {
    const instant = count === 1 ? last / 2 : (last * step) / (count - 1);
    // The frames before and after, and how far it is from one to the other.
    const after = Math.max(times.findIndex((time) => time >= instant), 1);
    const before = times[after - 1];
    return Math.floor(after - 1 + (instant - before) / (times[after] - before) + 0.5);
  });
}

/** Returns whether a frame is more than a frame's time away from the mean rate. */
function rateVaries(times) {
  const step = times.at(-1) / (times.length - 1);
  if (!(step > 0)) return false;
  // Two frames at once: a clock that started again, as where files were joined.
  if (times.some((time, number) => number && time <= times[number - 1])) return false;
  return times.some((time, number) => Math.abs(time - number * step) > step);
}

/** Returns T indices in [0, N): first to last, halves up, in whole numbers. */
function evenlySpaced(numVideoFrames, count) {
  if (count === 1) return [Math.floor((numVideoFrames - 1) / 2)];
  const steps = Array.from({ length: count }, (_, step) => step);
  return steps.map((step) =>
    Math.floor((2 * step * (numVideoFrames - 1) + count - 1) / (2 * (count - 1))),
  );
}

function happened(target, name) {
  return new Promise((done, failed) => {
    target.addEventListener(name, done, { once: true });
    target.addEventListener("error", () => failed(new NotPlayed()), { once: true });
  });
}

async function seek(player, seconds) {
  const done = happened(player, "seeked");
  player.currentTime = seconds;
  await done;
}

/**
 * Waits until a player shows a frame that is wanted.
 *
 * That it has sought does not mean that it shows what it found: for some milliseconds
 * more it may be the frame before.
 *
 * @param {(seconds: number) => boolean} isWanted By the time of the frame.
 * @returns {Promise<VideoFrame>} The frame; after `looks` looks whatever is shown.
 */
async function shownFrame(player, isWanted, looks = MOST_LOOKS) {
  for (let look = 1; ; look += 1) {
    if (player.error) throw new NotPlayed();
    const isLast = look >= looks;
    try {
      const frame = new VideoFrame(player);
      if (isLast || isWanted(frame.timestamp * UNIT_SECONDS)) return frame;
      frame.close();
    } catch (error) {
      // There is no frame yet, or none at all.
      if (error.name !== "InvalidStateError") throw error;
      if (isLast) throw new NotPlayed();
    }
    await new Promise((done) => setTimeout(done, LOOK_MILLISECONDS));
  }
}

/** Returns the time of the frame that is shown, in seconds. */
async function shownTime(player, isWanted = () => true) {
  const frame = await shownFrame(player, isWanted);
  const seconds = frame.timestamp * UNIT_SECONDS;
  frame.close();
  return seconds;
}

/** Returns one frame of a video, by seeking. */
async function soughtFrame(player, first, times, index) {
  const { start, middle, stop } = shownWhile(times, index);
  const isWanted = (seconds) => seconds - first >= start && seconds - first <= stop;
  await seek(player, first + middle);
  const frame = await shownFrame(player, isWanted);
  if (isWanted(frame.timestamp * UNIT_SECONDS)) return frame;
  frame.close();
  throw new NotPlayed();
}

/** Returns one frame of a video, after those before it, by playing. */
async function playedFrame(player, first, times, index) {
  const { start, stop } = shownWhile(times, index);
  const isThere = (seconds) => seconds - first >= start || player.ended;
  await player.play();
  // It never comes where the file tells other times than the player knows.
  const left = Math.max(0, (first + stop - player.currentTime) / player.playbackRate);
  const looks = Math.ceil(((left + MOST_DELAY_SECONDS) * 1000) / LOOK_MILLISECONDS);
  const frame = await shownFrame(player, isThere, looks);
  player.pause();
  const seconds = frame.timestamp * UNIT_SECONDS;
  const [hasCome, isPast] = [isThere(seconds), seconds - first > stop];
  if (hasCome && (!isPast || player.playbackRate === RATES.at(-1))) return frame;
  frame.close();
  throw hasCome ? new NotPlayed() : new Error(TOO_LONG);
}

/** Returns between which seconds a frame's time must be, and one at which it is shown. */
function shownWhile(times, index) {
  const step = times.length > 1 ? times.at(-1) / (times.length - 1) : USUAL_STEP_SECONDS;
  const [before, time, after] = [index - 1, index, index + 1].map((number) => times[number]);
  const following = after ?? time + step;
  const middle = (time + following) / 2;
  return { start: ((before ?? time - step) + time) / 2, middle, stop: middle };
}

/**
 * Finds out when the frames are shown.
 *
 * @param {number} first When the first one is.
 * @param {number[] | null} told What the file says of it.
 * @returns {Promise<number[]>} The seconds from the first frame to each.
 */
async function timesOf(player, first, told) {
  // A recording tells how long it is only at its end.
  await seek(player, Number.isFinite(player.duration) ? player.duration : 1e9);
  const end = player.duration;
  if (told !== null) {
    const step = told.length > 1 ? told.at(-1) / (told.length - 1) : USUAL_STEP_SECONDS;
    const isLast = (seconds) => Math.abs(seconds - first - told.at(-1)) < step / 2;
    const last = await shownTime(player, isLast);
    // Otherwise the player shows other frames than the file's tables name.
    if (isLast(last)) return told;
  }
  const last = await shownTime(player, (seconds) => seconds > first || end - first < 0.001);
  if (last <= first) return [0];
  const step = await stepOf(player, first, last, end - last);
  const count = Math.round((last - first) / step) + 1;
  if (count > MOST_FRAMES) throw new Error(TOO_LONG);
  return Array.from({ length: count }, (_, number) => number * step);
}

/** Returns how long a frame is shown: the time from the first to the next. */
async function stepOf(player, first, last, ending) {
  // In steps of less than a frame at 120 a second, for at most a tenth of a second.
  for (let ahead = 0.004; ahead < 0.1; ahead += 0.004) {
    await seek(player, first + ahead);
    const shown = await shownTime(player, (seconds) => seconds <= first + ahead);
    if (shown > first) {
      // The time stamps may be rounded to milliseconds; the whole is more exact.
      const count = Math.round((last - first) / (shown - first));
      return (last - first) / Math.max(count, 1);
    }
  }
  // Where the rate is constant, the last frame is shown as long as every other.
  return ending > 0.001 ? ending : USUAL_STEP_SECONDS;
}
