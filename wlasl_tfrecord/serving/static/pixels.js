// From a decoded frame to the pixels of a clip, by the arithmetic of the library: that
// of FFmpeg's converter (planes to RGB) and of OpenCV's resizing, to the bit. A few
// levels more or less in all pixels would change the order of the glosses.

// FFmpeg's libswscale/yuv2rgb.c: red of V, blue of U, green of U and of V, in 65536ths.
const COEFFICIENTS = {
  bt601: [104597, 132201, -25675, -53279],
  bt709: [117489, 138438, -13975, -34925],
};
const MATRICES = { bt709: "bt709", smpte170m: "bt601", bt470bg: "bt601" };
// As in video/orientation.py: encoders round sizes, and no eye sees it.
const SQUARE_TOLERANCE = 0.01;
// Of a frame: 8K video has as many, and JPEGs for an exported SavedModel may have.
const MOST_PIXELS = 2 ** 25;
const PLAIN_PRIMARIES = [null, "bt709", "smpte170m", "bt470bg"];
const PLAIN_TRANSFERS = [null, "bt709", "smpte170m", "iec61966-2-1"];

/** Refuses frames that take gigabytes, though a small file can hold them. */
export function checkSize(width, height) {
  if (width * height > MOST_PIXELS) {
    const most = MOST_PIXELS.toLocaleString("en");
    throw new Error(`its frames are larger than ${most} pixels; make the video smaller`);
  }
}

/**
 * Returns the pixels of the frame that a player shows.
 *
 * The planes of the decoder are converted by the matrix that the video names, or BT.601
 * if it names none. Where a browser has no planes, or the video other colours, the
 * browser's own picture is taken, which may be some levels away.
 *
 * @param {HTMLVideoElement} player
 * @param {VideoFrame} frame What it shows.
 * @param {"bt601" | "bt709" | "other" | null} named The matrix that the file names; null
 *   if the frame knows.
 * @returns {Promise<{data: Uint8ClampedArray, width: number, height: number}>} RGBA.
 */
export async function pixelsOf(player, frame, named) {
  const { width, height } = frame.visibleRect ?? {};
  // Frames of one video may differ, and from how large they are shown.
  checkSize(width, height);
  checkSize(player.videoWidth, player.videoHeight);
  const rotation = frame.rotation ?? 0;
  const shown = [frame.displayWidth, frame.displayHeight];
  if (rotation % 180) shown.reverse();
  const aspect = (shown[0] * height) / (shown[1] * width);
  const isSquare = Math.abs(aspect - 1) <= SQUARE_TOLERANCE;
  const matrix = matrixOf(frame.colorSpace, named);
  if (!["I420", "I422", "NV12"].includes(frame.format) || !isSquare || !matrix) {
    return drawnPixels(player);
  }
  const image = convert(await planesOf(frame), width, height, matrix, frame.colorSpace.fullRange);
  return turned(image, rotation, frame.flip ?? false);
}

/** Returns by which matrix to convert; null where its colours are not those of BT.709. */
function matrixOf(colours, named) {
  if (!PLAIN_PRIMARIES.includes(colours.primaries)) return null;
  if (!PLAIN_TRANSFERS.includes(colours.transfer)) return null;
  if (named !== null) return named === "other" ? null : named;
  return colours.matrix === null ? "bt601" : (MATRICES[colours.matrix] ?? null);
}

/**
 * Copies the planes of a frame.
 *
 * @returns {Promise<{bytes: Uint8Array, luma: PlaneLayout, blue: PlaneLayout,
 *   red: PlaneLayout, step: number}>} Each colour has a value for 2 x 2 pixels, `step`
 *   bytes from the one before.
 */
async function planesOf(frame) {
  const bytes = new Uint8Array(frame.allocationSize());
  const [luma, blue, red] = await frame.copyTo(bytes);
  if (frame.format === "NV12") {
    // Both colours are in one plane, in turn.
    return { bytes, luma, blue, red: { ...blue, offset: blue.offset + 1 }, step: 2 };
  }
  // FFmpeg leaves out every second line of the colours, where there is one for each.
  const lines = frame.format === "I422" ? 2 : 1;
  const [first, second] = [blue, red].map((plane) => ({ ...plane, stride: lines * plane.stride }));
  return { bytes, luma, blue: first, red: second, step: 1 };
}

/** Converts planes to RGBA, in FFmpeg's whole numbers. */
function convert({ bytes, luma, blue, red, step }, width, height, matrix, isFull) {
  const scaled = COEFFICIENTS[matrix].map((one) => (isFull ? Math.trunc((one * 224) / 255) : one));
  const gain = isFull ? 65536 : Math.floor((65536 * 255) / 219);
  const [light, redOfV, blueOfU, greenOfU, greenOfV] = [gain, ...scaled].map((one) =>
    Math.floor(one / 8 + 0.5),
  );
  const black = isFull ? 0 : 128;
  const data = new Uint8ClampedArray(width * height * 4);
  for (let y = 0; y < height; y += 1) {
    const lumaRow = luma.offset + y * luma.stride;
    const blueRow = blue.offset + (y >> 1) * blue.stride;
    const redRow = red.offset + (y >> 1) * red.stride;
    for (let x = 0; x < width; x += 1) {
      const place = (x >> 1) * step;
      const u = (bytes[blueRow + place] - 128) << 3;
      const v = (bytes[redRow + place] - 128) << 3;
      const grey = (((bytes[lumaRow + x] << 3) - black) * light) >> 16;
      const out = (y * width + x) * 4;
      data[out] = grey + ((v * redOfV) >> 16);
      data[out + 1] = grey + ((u * greenOfU) >> 16) + ((v * greenOfV) >> 16);
      data[out + 2] = grey + ((u * blueOfU) >> 16);
      data[out + 3] = 255;
    }
  }
  return { data, width, height };
}

/** Turns an image clockwise by a multiple of 90 degrees, and then flips it if asked for. */
function turned(image, rotation, isFlipped) {
  if (!rotation && !isFlipped) return image;
  const isSideways = rotation % 180 !== 0;
  const width = isSideways ? image.height : image.width;
  const height = isSideways ? image.width : image.height;
  const from = new Uint32Array(image.data.buffer);
  const data = new Uint8ClampedArray(from.length * 4);
  const to = new Uint32Array(data.buffer);
  for (let y = 0; y < image.height; y += 1) {
    for (let x = 0; x < image.width; x += 1) {
      let [column, row] = [x, y];
      if (rotation === 90) [column, row] = [image.height - 1 - y, x];
      if (rotation === 180) [column, row] = [image.width - 1 - x, image.height - 1 - y];
      if (rotation === 270) [column, row] = [y, image.width - 1 - x];
      if (isFlipped) column = width - 1 - column;
      to[row * width + column] = from[y * image.width + x];
    }
  }
  return { data, width, height };
}

function drawnPixels(player) {
  const { videoWidth: width, videoHeight: height } = player;
  const canvas = new OffscreenCanvas(width, height);
  // Black under what is transparent, as in the library.
  const context = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
  context.drawImage(player, 0, 0, width, height);
  return { data: context.getImageData(0, 0, width, height).data, width, height };
}

/**
 * Crops and resizes one frame, as video/framing.py does.
 *
 * @param {{data: Uint8ClampedArray, width: number, height: number}} image RGBA.
 * @param {"center" | "pad" | "squash"} framing
 * @param {Uint8Array} out RGB, [H, W, 3]; receives the result.
 */
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

/** Averages 2 x 2, 2 x 1 or 1 x 2 pixels, as OpenCV's INTER_AREA. */
function halve(image, rows, columns) {
  const height = Math.floor(image.height / rows);
  const width = Math.floor(image.width / columns);
  const data = new Uint8ClampedArray(height * width * 4);
  const [below, beside] = [(rows - 1) * image.width * 4, (columns - 1) * 4];
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const start = (y * rows * image.width + x * columns) * 4;
      for (let channel = 0; channel < 3; channel += 1) {
        const at = start + channel;
        const sum = image.data[at] + image.data[at + below + beside];
        let mean;
        if (rows === columns) {
          // Halves up.
          mean = (sum + image.data[at + below] + image.data[at + beside] + 2) >> 2;
        } else {
          // Halves to even.
          mean = (sum + ((sum >> 1) & 1)) >> 1;
        }
        data[(y * width + x) * 4 + channel] = mean;
      }
    }
  }
  return { data, width, height };
}

/**
 * Returns for each place of the result the two places that it lies between, and how much
 * of each it has, in 2048ths.
 */
function between(from, to, isColumn) {
  const scale = 1 / (to / from);
  return Array.from({ length: to }, (_, place) => {
    const centre = Math.fround((place + 0.5) * scale - 0.5);
    let low = Math.floor(centre);
    let share = Math.fround(centre - low);
    // Beyond the edge a column has no share; both rows are then the last one.
    if (isColumn && low < 0) [low, share] = [0, 0];
    if (isColumn && low >= from - 1) [low, share] = [from - 1, 0];
    const inside = (one) => Math.min(Math.max(one, 0), from - 1);
    return {
      low: inside(low),
      high: inside(low + 1),
      ofLow: halfToEven(Math.fround(1 - share) * 2048),
      ofHigh: halfToEven(share * 2048),
    };
  });
}

/** Interpolates linearly, in the whole numbers of OpenCV's INTER_LINEAR. */
function interpolate(image, height, width) {
  if (image.height === height && image.width === width) return image;
  const columns = between(image.width, width, true);
  const data = new Uint8ClampedArray(height * width * 4);
  const lineOf = (y) => {
    const line = new Int32Array(width * 3);
    const start = y * image.width * 4;
    for (const [x, { low, high, ofLow, ofHigh }] of columns.entries()) {
      for (let channel = 0; channel < 3; channel += 1) {
        const [one, other] = [start + low * 4 + channel, start + high * 4 + channel];
        line[x * 3 + channel] = (image.data[one] * ofLow + image.data[other] * ofHigh) >> 4;
      }
    }
    return line;
  };
  let lines = new Map();
  for (const [y, { low, high, ofLow, ofHigh }] of between(image.height, height, false).entries()) {
    const upper = lines.get(low) ?? lineOf(low);
    const lower = high === low ? upper : (lines.get(high) ?? lineOf(high));
    lines = new Map([
      [low, upper],
      [high, lower],
    ]);
    for (let x = 0; x < width; x += 1) {
      for (let channel = 0; channel < 3; channel += 1) {
        const at = x * 3 + channel;
        const sum = ((upper[at] * ofLow) >> 16) + ((lower[at] * ofHigh) >> 16);
        data[(y * width + x) * 4 + channel] = (sum + 2) >> 2;
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
