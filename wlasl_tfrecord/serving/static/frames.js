// From a video to the frames of a clip, as the library does it in Python: frames at even
// distances from first to last, cropped or fitted, and resized with an anti-aliasing
// filter (video/sampling.py and video/framing.py).

// A frame whose time nobody tells is taken to last this long.
const USUAL_STEP_SECONDS = 1 / 30;

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
  const player = document.createElement("video");
  player.muted = true;
  player.preload = "auto";
  player.src = URL.createObjectURL(video);
  try {
    await happened(player, "loadeddata");
    const times = await timesOf(player);
    const { num_frames: count, height, width } = clip;
    const indices = evenlySpaced(times.numFrames, count);
    const frames = new Uint8Array(count * height * width * 3);
    let shown = -1;
    for (const [place, index] of indices.entries()) {
      const out = frames.subarray(place * height * width * 3, (place + 1) * height * width * 3);
      if (index === shown) {
        // The same frame again: a video shorter than the clip repeats frames.
        out.set(frames.subarray((place - 1) * height * width * 3, place * height * width * 3));
        continue;
      }
      // In the middle of the time at which the frame is shown.
      await seek(player, times.first + (index + 0.5) * times.step);
      fitFrame(await pixelsOf(player), framing, out, height, width);
      shown = index;
    }
    return {
      frames,
      numVideoFrames: times.numFrames,
      indices,
      numDistinctFrames: new Set(indices).size,
    };
  } finally {
    URL.revokeObjectURL(player.src);
    player.removeAttribute("src");
    player.load();
  }
}

/** Returns T indices in [0, N): first to last, halves up, in whole numbers. */
export function evenlySpaced(numVideoFrames, count) {
  if (count === 1) return [Math.floor((numVideoFrames - 1) / 2)];
  const steps = Array.from({ length: count }, (_, step) => step);
  return steps.map((step) =>
    Math.floor((2 * step * (numVideoFrames - 1) + count - 1) / (2 * (count - 1))),
  );
}

/** Crops and resizes one frame into uint8 [H, W, 3]. */
export function fitFrame(image, framing, out, height, width) {
  if (framing === "center") {
    const source = centerCrop(image, height, width);
    store(resize(source, height, width), out, width, 0, 0);
  } else if (framing === "pad") {
    const scale = Math.min(height / image.height, width / image.width);
    const inner = [
      Math.max(1, halfToEven(image.height * scale)),
      Math.max(1, halfToEven(image.width * scale)),
    ];
    const top = Math.floor((height - inner[0]) / 2);
    const left = Math.floor((width - inner[1]) / 2);
    out.fill(0);
    store(resize(image, ...inner), out, width, top, left);
  } else {
    store(resize(image, height, width), out, width, 0, 0);
  }
}

function happened(target, name) {
  return new Promise((done, failed) => {
    target.addEventListener(name, done, { once: true });
    target.addEventListener("error", () => failed(new Error("not a video that this browser plays")), {
      once: true,
    });
  });
}

async function seek(player, seconds) {
  const done = happened(player, "seeked");
  player.currentTime = seconds;
  await done;
}

/** Returns the time of the frame that is shown, in seconds. */
function shownTime(player) {
  const frame = new VideoFrame(player);
  const seconds = frame.timestamp / 1e6;
  frame.close();
  return seconds;
}

/** Finds out when the first frame is shown, how long each is, and how many there are. */
async function timesOf(player) {
  const first = shownTime(player);
  // A recording tells how long it is only at its end.
  await seek(player, Number.isFinite(player.duration) ? player.duration : 1e9);
  const duration = player.duration;
  const last = shownTime(player);
  if (last <= first) return { first, step: USUAL_STEP_SECONDS, numFrames: 1 };
  // Where the rate is constant, the last frame is shown as long as every other.
  const ending = duration - last;
  const step = await stepOf(player, first, last, ending);
  return { first, step, numFrames: Math.round((last - first) / step) + 1 };
}

/** Returns how long a frame is shown: the time from the first to the next. */
async function stepOf(player, first, last, ending) {
  // In steps of less than a frame at 120 a second, for at most a tenth of a second.
  for (let ahead = 0.004; ahead < 0.1; ahead += 0.004) {
    await seek(player, first + ahead);
    const shown = shownTime(player);
    if (shown > first) {
      // The time stamps may be rounded to milliseconds; the whole is more exact.
      const count = Math.round((last - first) / (shown - first));
      return (last - first) / Math.max(count, 1);
    }
  }
  return ending > 0.001 ? ending : USUAL_STEP_SECONDS;
}

/** Returns the frame that is shown, {data: RGBA, width, height}. */
async function pixelsOf(player) {
  const frame = new VideoFrame(player);
  try {
    return (await convertedPixels(frame)) ?? drawnPixels(player);
  } finally {
    frame.close();
  }
}

/**
 * Converts the decoder's planes as OpenCV does: by BT.601, whatever the video says of
 * its colours. A browser would follow the video, and the model would see other colours
 * than in its training. Returns null where the planes are not to be had.
 */
async function convertedPixels(frame) {
  const { width, height } = frame.visibleRect ?? {};
  const isUpright = frame.displayWidth === width && frame.displayHeight === height;
  if (!["I420", "NV12"].includes(frame.format) || !isUpright) return null;
  const planes = new Uint8Array(frame.allocationSize());
  const [luma, chroma, second] = await frame.copyTo(planes);
  // NV12 has both colours in one plane, in turn.
  const step = second ? 1 : 2;
  const blue = chroma;
  const red = second ?? { offset: chroma.offset + 1, stride: chroma.stride };
  const isFull = frame.colorSpace.fullRange;
  const [black, gain, colour] = isFull ? [0, 1, 1] : [16, 255 / 219, 255 / 224];
  const data = new Uint8ClampedArray(width * height * 4);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const place = (x >> 1) * step;
      const u = (planes[blue.offset + (y >> 1) * blue.stride + place] - 128) * colour;
      const v = (planes[red.offset + (y >> 1) * red.stride + place] - 128) * colour;
      const light = (planes[luma.offset + y * luma.stride + x] - black) * gain;
      const out = (y * width + x) * 4;
      data[out] = light + 1.402 * v;
      data[out + 1] = light - 0.344136 * u - 0.714136 * v;
      data[out + 2] = light + 1.772 * u;
      data[out + 3] = 255;
    }
  }
  return { data, width, height };
}

function drawnPixels(player) {
  const { videoWidth: width, videoHeight: height } = player;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(player, 0, 0, width, height);
  return { data: context.getImageData(0, 0, width, height).data, width, height };
}

function centerCrop(image, height, width) {
  const cropHeight = Math.min(
    image.height,
    Math.max(1, halfToEven((image.width * height) / width)),
  );
  const cropWidth = Math.min(
    image.width,
    Math.max(1, halfToEven((image.height * width) / height)),
  );
  const top = Math.floor((image.height - cropHeight) / 2);
  const left = Math.floor((image.width - cropWidth) / 2);
  const data = new Uint8ClampedArray(cropHeight * cropWidth * 4);
  for (let row = 0; row < cropHeight; row += 1) {
    const start = ((top + row) * image.width + left) * 4;
    data.set(image.data.subarray(start, start + cropWidth * 4), row * cropWidth * 4);
  }
  return { data, width: cropWidth, height: cropHeight };
}

/** Rounds as Python does. */
function halfToEven(value) {
  const below = Math.floor(value);
  if (value - below !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}

/** Halves by area averages while it can, and then interpolates. */
function resize(image, height, width) {
  let source = image;
  for (;;) {
    const rows = source.height >= 2 * height ? 2 : 1;
    const columns = source.width >= 2 * width ? 2 : 1;
    if (rows === 1 && columns === 1) break;
    source = halve(source, rows, columns);
  }
  return interpolate(source, height, width);
}

function halve(image, rows, columns) {
  const height = Math.floor(image.height / rows);
  const width = Math.floor(image.width / columns);
  const data = new Uint8ClampedArray(height * width * 4);
  const count = rows * columns;
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      for (let channel = 0; channel < 3; channel += 1) {
        let sum = 0;
        for (let row = 0; row < rows; row += 1) {
          for (let column = 0; column < columns; column += 1) {
            sum += image.data[((y * rows + row) * image.width + x * columns + column) * 4 + channel];
          }
        }
        data[(y * width + x) * 4 + channel] = Math.floor(sum / count + 0.5);
      }
    }
  }
  return { data, width, height };
}

/** Returns for each place of the result the two it lies between, and how far. */
function between(from, to) {
  return Array.from({ length: to }, (_, place) => {
    const centre = ((place + 0.5) * from) / to - 0.5;
    const low = Math.min(Math.max(Math.floor(centre), 0), from - 1);
    return { low, high: Math.min(low + 1, from - 1), share: Math.min(Math.max(centre - low, 0), 1) };
  });
}

function interpolate(image, height, width) {
  if (image.height === height && image.width === width) return image;
  const rows = between(image.height, height);
  const columns = between(image.width, width);
  const data = new Uint8ClampedArray(height * width * 4);
  const at = (y, x, channel) => image.data[(y * image.width + x) * 4 + channel];
  for (const [y, row] of rows.entries()) {
    for (const [x, column] of columns.entries()) {
      for (let channel = 0; channel < 3; channel += 1) {
        const upper =
          at(row.low, column.low, channel) * (1 - column.share) +
          at(row.low, column.high, channel) * column.share;
        const lower =
          at(row.high, column.low, channel) * (1 - column.share) +
          at(row.high, column.high, channel) * column.share;
        const value = upper * (1 - row.share) + lower * row.share;
        data[(y * width + x) * 4 + channel] = Math.floor(value + 0.5);
      }
    }
  }
  return { data, width, height };
}

/** Stores an image in uint8 [H, W, 3] at a place, without its fourth channel. */
function store(image, out, outWidth, top, left) {
  for (let y = 0; y < image.height; y += 1) {
    for (let x = 0; x < image.width; x += 1) {
      const from = (y * image.width + x) * 4;
      const to = ((top + y) * outWidth + left + x) * 3;
      for (let channel = 0; channel < 3; channel += 1) out[to + channel] = image.data[from + channel];
    }
  }
}
