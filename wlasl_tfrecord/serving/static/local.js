// The model in the page. page.js asks here what it would ask a server: the same
// questions, and the same answers.

import { clipOf } from "./frames.js";
import { Tensor, loadAndCompile, loadLiteRt } from "./litert/index.js";

const RUNTIME = new URL("litert/wasm/", import.meta.url).href;
const NUM_GLOSSES = 5;

// LiteRT adds one script of its own to the page. Nothing else may become one.
globalThis.trustedTypes?.createPolicy("default", {
  createScriptURL(url) {
    if (String(url).startsWith(RUNTIME)) return url;
    throw new TypeError(`this page runs no script from ${url}`);
  },
});

async function load() {
  const response = await fetch("model.json");
  const info = await response.json();
  await loadLiteRt(RUNTIME);
  const network = await loadAndCompile("model.tflite", { accelerator: "wasm" });
  return { info, network };
}

const loading = load();

/**
 * Computes the probability of every gloss.
 *
 * @param {Uint8Array} frames RGB, [T, H, W, 3].
 * @returns {Promise<Float32Array>} By output.
 */
async function probabilities(frames) {
  const { info, network } = await loading;
  const { num_frames: count, height, width } = info.clip;
  const clip = new Tensor(frames, [1, count, height, width, 3]);
  const [answer] = await network.run([clip]);
  const shares = Float32Array.from(await answer.data());
  clip.delete();
  answer.delete();
  return shares;
}

async function recognise(video, withFrames) {
  const { info } = await loading;
  const started = performance.now();
  const clip = await clipOf(video, info.clip, info.framing);
  const decoded = performance.now();
  const shares = await probabilities(clip.frames);
  const computed = performance.now();
  const ranked = info.glosses
    .map((gloss, label) => ({ gloss, probability: shares[label] }))
    .sort((one, other) => other.probability - one.probability);
  return {
    predictions: ranked.slice(0, NUM_GLOSSES),
    num_video_frames: clip.numVideoFrames,
    num_distinct_frames: clip.numDistinctFrames,
    frame_indices: clip.indices,
    frames: withFrames ? await jpegs(clip.frames, info.clip) : undefined,
    seconds: {
      decode: (decoded - started) / 1000,
      network: (computed - decoded) / 1000,
      total: (performance.now() - started) / 1000,
    },
  };
}

/** Encodes the frames that the model saw, as JPEG in base64. */
async function jpegs(frames, { num_frames: count, height, width }) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const encoded = [];
  for (let number = 0; number < count; number += 1) {
    const start = number * height * width;
    for (let pixel = 0; pixel < height * width; pixel += 1) {
      const from = (start + pixel) * 3;
      image.data.set(frames.subarray(from, from + 3), pixel * 4);
      image.data[pixel * 4 + 3] = 255;
    }
    context.putImageData(image, 0, 0);
    const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.85 });
    const bytes = new Uint8Array(await blob.arrayBuffer());
    encoded.push(btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")));
  }
  return encoded;
}

async function answer(path, options) {
  if (path === "model") {
    const { info } = await loading;
    return { ...info, isLocal: true };
  }
  return recognise(options.body, path.includes("frames=true"));
}

window.askLocally = async (path, options) => {
  try {
    return Response.json(await answer(path, options));
  } catch (error) {
    return Response.json({ error: error.message }, { status: 422 });
  }
};
