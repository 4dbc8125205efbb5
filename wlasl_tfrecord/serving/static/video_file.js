// What a video file says of itself: when its frames are shown, and by which matrix its
// colours were coded. A browser's player tells neither: it has no list of frames, and
// guesses the matrix by the height of the picture where the file names none.

const MOST_TABLE_BYTES = 2 ** 26;
const MOST_FILE_BYTES = 2 ** 29;
export const MOST_FRAMES = 3e6;
const MOST_BOXES = 1e5;
// Each box of the file itself is a read of its own.
const MOST_FILE_BOXES = 1000;
const MOST_EDITS = 1000;
// Each edit looks at all frames.
const MOST_LOOKED_AT = 3e7;
// Of pictures and sound, in Matroska: hours.
const MOST_BLOCKS = 1e6;
// All that it consists of: some for each block.
const MOST_ELEMENTS = 5e6;
// Of a name there, and of a number.
const MOST_NAME_BYTES = 64;
const MOST_NUMBER_BYTES = 8;

/**
 * Reads what a file says of its first video.
 *
 * @param {Blob} file MP4, QuickTime, WebM or Matroska; nothing is known of others.
 * @returns {Promise<{times: number[] | null, matrix: "bt601" | "bt709" | "other" | null}>}
 *   The seconds from the first shown frame to each, never decreasing; null if the file
 *   does not tell. The matrix; null if the decoder knows it from the frames.
 */
export async function factsOf(file) {
  try {
    const head = new DataView(await file.slice(0, 4).arrayBuffer());
    if (head.getUint32(0) === 0x1a45dfa3) return await factsOfMatroska(file);
    return await factsOfMp4(file);
  } catch (error) {
    // Damaged tables are no error here: the player shows what is left.
    if (error instanceof RangeError) return { times: null, matrix: null };
    throw error;
  }
}

// MP4: ISO/IEC 14496-12, as in video/mp4_boxes.py.

async function factsOfMp4(file) {
  const movie = await movieOf(file);
  const tracks = movie === null ? [] : [...boxes(movie)].filter(([name]) => name === "trak");
  for (const [, track] of tracks) {
    const media = box(track, "mdia");
    if (nameAt(box(media, "hdlr"), 8) !== "vide") continue;
    const tables = box(box(media, "minf"), "stbl");
    const rate = rateOf(box(media, "mdhd"));
    const edits = editsOf(track);
    const times = shownTimes(sampleTimes(tables), edits, rate, rateOf(box(movie, "mvhd")));
    return {
      times: times.length ? times.map((time) => (time - times[0]) / rate) : null,
      matrix: matrixOfEntry(box(tables, "stsd")),
    };
  }
  return { times: null, matrix: null };
}

/** Returns the content of the box `moov`, wherever it lies; null if there is none. */
async function movieOf(file) {
  let at = 0;
  for (let number = 0; number < MOST_FILE_BOXES && at + 8 <= file.size; number += 1) {
    const head = new DataView(await file.slice(at, at + 16).arrayBuffer());
    let size = head.getUint32(0);
    if (size === 1) size = Number(head.getBigUint64(8));
    if (size < 8) return null;
    if (nameAt(head, 4) === "moov") {
      if (size > MOST_TABLE_BYTES) return null;
      return new DataView(await file.slice(at + 8, at + size).arrayBuffer());
    }
    at += size;
  }
  return null;
}

function nameAt(view, at) {
  return String.fromCharCode(...[0, 1, 2, 3].map((place) => view.getUint8(at + place)));
}

function part(view, start, stop = view.byteLength) {
  return new DataView(view.buffer, view.byteOffset + start, Math.min(stop, view.byteLength) - start);
}

function* boxes(parent, start = 0) {
  let at = start;
  for (let number = 0; at + 8 <= parent.byteLength; number += 1) {
    if (number === MOST_BOXES) throw new RangeError("no boxes");
    const size = parent.getUint32(at);
    if (size < 8) return;
    yield [nameAt(parent, at + 4), part(parent, at + 8, at + size)];
    at += size;
  }
}

function box(parent, wanted, start = 0) {
  for (const [name, content] of boxes(parent, start)) if (name === wanted) return content;
  throw new RangeError(`no box ${wanted}`);
}

function rateOf(header) {
  const rate = header.getUint32(header.getUint8(0) ? 20 : 12);
  if (!rate) throw new RangeError("no clock");
  return rate;
}

/** Returns the instant at which each frame is shown, in the units of the track, in order. */
function sampleTimes(tables) {
  const steps = runLengths(box(tables, "stts"));
  let elapsed = 0;
  const times = steps.map((step) => (elapsed += step) - step);
  let delays;
  try {
    delays = runLengths(box(tables, "ctts"));
  } catch {
    delays = times.map(() => 0);
  }
  const count = Math.min(times.length, delays.length);
  const shown = Array.from({ length: count }, (_, number) => times[number] + delays[number]);
  return shown.sort((one, other) => one - other);
}

/** Writes out a table of (how many frames, value). */
function runLengths(table) {
  const values = [];
  for (let run = 0; run < table.getUint32(4); run += 1) {
    const count = table.getUint32(8 + 8 * run);
    if (values.length + count > MOST_FRAMES) throw new RangeError("no table of frames");
    const value = table.getInt32(12 + 8 * run);
    for (let number = 0; number < count; number += 1) values.push(value);
  }
  return values;
}

/** Returns [duration, first instant] of each part that a track shows; null for all of it. */
function editsOf(track) {
  let list;
  try {
    list = box(box(track, "edts"), "elst");
  } catch {
    return null;
  }
  if (list.getUint32(4) > MOST_EDITS) throw new RangeError("no edit list");
  const isLong = list.getUint8(0) > 0;
  const edits = [];
  for (let number = 0; number < list.getUint32(4); number += 1) {
    const at = 8 + number * (isLong ? 20 : 12);
    edits.push(
      isLong
        ? [Number(list.getBigUint64(at)), Number(list.getBigInt64(at + 8))]
        : [list.getUint32(at), list.getInt32(at + 4)],
    );
  }
  return edits.length ? edits : null;
}

/** Returns when the frames are shown that the edits show, in the units of the track. */
function shownTimes(times, edits, rate, movieRate) {
  if (edits === null) return times;
  if (edits.length * times.length > MOST_LOOKED_AT) throw new RangeError("no edit list");
  const shown = [];
  let elapsed = 0;
  for (const [duration, start] of edits) {
    // Up to the next whole unit.
    const length = Math.ceil((duration * rate) / movieRate);
    // A start of -1 is a pause; a duration of 0 is "to the end".
    const stop = duration ? start + length : Infinity;
    const inside = start === -1 ? [] : times.filter((time) => time >= start && time < stop);
    if (shown.length + inside.length > MOST_FRAMES) throw new RangeError("no edit list");
    for (const time of inside) shown.push(time - start + elapsed);
    elapsed += length;
  }
  return shown;
}

// The numbers of ITU-T H.273; 2 is "not named", for which decoders take BT.601.
const MATRICES = { 1: "bt709", 2: "bt601", 5: "bt601", 6: "bt601" };
const NOT_NAMED = 2;
// The fields of an entry of `stsd` that describes pictures, before the boxes in it.
const PICTURE_ENTRY_BYTES = 78;

/** Returns the matrix of an MP4's frames, as factsOf does. */
function matrixOfEntry(descriptions) {
  const [codec, entry] = boxes(descriptions, 8).next().value ?? [];
  if (codec !== "avc1" && codec !== "avc3") return null;
  const inside = Object.fromEntries(boxes(entry, PICTURE_ENTRY_BYTES));
  let matrix = inside.avcC ? matrixOfAvc(inside.avcC) : NOT_NAMED;
  const colours = inside.colr;
  if (matrix === NOT_NAMED && colours && ["nclx", "nclc"].includes(nameAt(colours, 0))) {
    matrix = colours.getUint16(8);
  }
  return MATRICES[matrix] ?? "other";
}

/** Returns the number of the matrix in the parameters of an H.264 decoder. */
function matrixOfAvc(configuration) {
  if (!(configuration.getUint8(5) & 31)) return NOT_NAMED;
  const size = configuration.getUint16(6);
  const bytes = [];
  for (let at = 8; at < 8 + size; at += 1) {
    const byte = configuration.getUint8(at);
    // 3 after two zeros is no data.
    if (byte !== 3 || bytes.length < 2 || bytes.at(-1) || bytes.at(-2)) bytes.push(byte);
  }
  return matrixOfParameters(bitReader(bytes.slice(1)));
}

function bitReader(bytes) {
  let at = 0;
  const bits = (count) => {
    let value = 0;
    for (let number = 0; number < count; number += 1, at += 1) {
      if (at >= 8 * bytes.length) throw new RangeError("no parameters");
      value = 2 * value + ((bytes[at >> 3] >> (7 - (at & 7))) & 1);
    }
    return value;
  };
  // Exp-Golomb: so many zeros, and then as many bits.
  const number = () => {
    let zeros = 0;
    while (!bits(1)) zeros += 1;
    return 2 ** zeros - 1 + bits(zeros);
  };
  return { bits, number };
}

// Profiles whose parameters name the format of their colours: H.264, section 7.3.2.1.1.
const HIGH_PROFILES = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];

/** Reads the matrix in a sequence parameter set of H.264: sections 7.3.2.1.1 and E.1.1. */
function matrixOfParameters({ bits, number }) {
  const profile = bits(8);
  bits(16);
  number();
  if (HIGH_PROFILES.includes(profile)) skipFormat(bits, number);
  number();
  const order = number();
  if (order === 0) number();
  if (order === 1) {
    bits(1);
    number();
    number();
    for (let left = number(); left > 0; left -= 1) number();
  }
  number();
  bits(1);
  number();
  number();
  if (!bits(1)) bits(1);
  bits(1);
  if (bits(1)) for (let side = 0; side < 4; side += 1) number();
  if (!bits(1)) return NOT_NAMED;
  if (bits(1) && bits(8) === 255) bits(32);
  if (bits(1)) bits(1);
  if (!bits(1)) return NOT_NAMED;
  bits(4);
  if (!bits(1)) return NOT_NAMED;
  bits(16);
  return bits(8);
}

/** Skips the format of the colours, the depth of the numbers and the scaling lists. */
function skipFormat(bits, number) {
  const format = number();
  if (format === 3) bits(1);
  number();
  number();
  bits(1);
  if (!bits(1)) return;
  for (let list = 0; list < (format === 3 ? 12 : 8); list += 1) {
    if (!bits(1)) continue;
    let [last, next] = [8, 8];
    for (let place = 0; place < (list < 6 ? 16 : 64) && next; place += 1) {
      const code = number();
      next = (last + (code % 2 ? (code + 1) / 2 : -code / 2) + 256) % 256;
      last = next || last;
    }
  }
}

// Matroska, of which WebM is a part: RFC 9559.

const INSIDE = new Set([
  ...[0x18538067, 0x1549a966, 0x1654ae6b], // Segment, Info, Tracks
  ...[0xae, 0x1f43b675, 0xa0], // TrackEntry, Cluster, BlockGroup
]);
const SCALE = 0x2ad7b1;
const [TRACK, TRACK_NUMBER, TRACK_TYPE, CODEC, CODEC_PRIVATE] = [0xae, 0xd7, 0x83, 0x86, 0x63a2];
const [CLUSTER_TIME, BLOCKS] = [0xe7, [0xa3, 0xa1]];

async function factsOfMatroska(file) {
  if (file.size > MOST_FILE_BYTES) return { times: null, matrix: null };
  const view = new DataView(await file.arrayBuffer());
  const tracks = [];
  const blocks = [];
  let [scale, cluster] = [1e6, 0];
  for (const [id, content] of elements(view)) {
    if (blocks.length >= MOST_BLOCKS || tracks.length >= MOST_BOXES) throw new RangeError("no video");
    if (id === SCALE) scale = unsigned(content);
    else if (id === TRACK) tracks.push({});
    else if (id === CLUSTER_TIME) cluster = unsigned(content);
    else if (BLOCKS.includes(id)) blocks.push([cluster, content]);
    else if (tracks.length) {
      const track = tracks.at(-1);
      if (id === TRACK_NUMBER) track.number = unsigned(content);
      if (id === TRACK_TYPE) track.isVideo = unsigned(content) === 1;
      if (id === CODEC) track.codec ??= String.fromCharCode(...bytesOf(content, MOST_NAME_BYTES));
      if (id === CODEC_PRIVATE) track.configuration = content;
    }
  }
  const track = tracks.find((one) => one.isVideo);
  if (!track) return { times: null, matrix: null };
  const isVp8 = track.codec === "V_VP8";
  const times = [];
  for (const [start, block] of blocks) {
    const [number, at] = vint(block, 0);
    // VP8 has frames that are only referred to.
    const isHidden = isVp8 && !(block.getUint8(at + 3) & 0x10);
    if (number !== track.number || isHidden) continue;
    // Several frames in one block have one time.
    if (block.getUint8(at + 2) & 6) return { times: null, matrix: matrixOfTrack(track) };
    times.push((start + block.getInt16(at)) * scale * 1e-9);
  }
  times.sort((one, other) => one - other);
  return {
    times: times.length ? times.map((time) => time - times[0]) : null,
    matrix: matrixOfTrack(track),
  };
}

function matrixOfTrack({ codec, configuration }) {
  if (codec === "V_VP8") return "bt601";
  if (codec !== "V_MPEG4/ISO/AVC" || !configuration) return null;
  return MATRICES[matrixOfAvc(configuration)] ?? "other";
}

/**
 * Yields each element and its content, those inside of others after them. So the end of
 * an element is of no interest, which a recording does not know while it is written.
 */
function* elements(view) {
  let at = 0;
  for (let number = 0; at < view.byteLength; number += 1) {
    if (number === MOST_ELEMENTS) throw new RangeError("no video");
    const idBytes = Math.clz32(view.getUint8(at)) - 23;
    if (idBytes > 4) throw new RangeError("no element");
    let id = 0;
    for (let place = 0; place < idBytes; place += 1) id = id * 256 + view.getUint8(at + place);
    const [size, start] = vint(view, at + idBytes);
    const isInside = INSIDE.has(id);
    // Cut off, as where a recording ended suddenly.
    if (!isInside && start + size > view.byteLength) return;
    yield [id, part(view, start, isInside ? start : start + size)];
    at = isInside ? start : start + size;
  }
}

/** Reads a number of as many bytes as its first one says; returns it and the next place. */
function vint(view, at) {
  const first = view.getUint8(at);
  const length = Math.clz32(first) - 23;
  if (length > 8) throw new RangeError("no number");
  let value = first & (0xff >> length);
  for (let place = 1; place < length; place += 1) value = value * 256 + view.getUint8(at + place);
  return [value, at + length];
}

function unsigned(view) {
  return bytesOf(view, MOST_NUMBER_BYTES).reduce((value, byte) => 256 * value + byte, 0);
}

function bytesOf(view, most) {
  if (view.byteLength > most) throw new RangeError("no value");
  return [...new Uint8Array(view.buffer, view.byteOffset, view.byteLength)];
}
