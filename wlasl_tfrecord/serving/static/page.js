"use strict";

const element = (id) => document.getElementById(id);
const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

// After the #, where no server and no log sees it; kept for a reload of this tab.
const inAddress = new URLSearchParams(location.hash.slice(1)).get("token");
if (inAddress) {
  sessionStorage.setItem("token", inAddress);
  history.replaceState(null, "", location.pathname);
}

// A folder that `bin/export --format web` wrote has no server: local.js answers.
const ask = (path, options) => (window.askLocally ?? fetch)(path, options);

let model = null;
let busy = false;
let focusBefore = null;
let stream = null;

function say(text, bad = false) {
  element("status").textContent = text;
  element("status").classList.toggle("bad", bad);
}

function setBusy(value) {
  busy = value;
  if (value) focusBefore = document.activeElement;
  element("file").disabled = value;
  element("record").disabled = value;
  element("live").disabled = value;
  element("camera").disabled = value;
  // What is disabled loses the focus: without a result, go on where it was.
  if (!value && document.activeElement === document.body) focusBefore?.focus();
}

function headers() {
  const token = sessionStorage.getItem("token");
  return token ? { Authorization: `Bearer ${token}` } : {};
}

async function loadModel() {
  const response = await ask("model", { headers: headers() });
  element("token-form").hidden = response.status !== 401;
  element("inputs").hidden = response.status === 401;
  if (response.status === 401) {
    element("token").focus();
    if (sessionStorage.getItem("token")) say("That is not the token of this server.", true);
    return;
  }
  const answer = await response.json();
  if (!response.ok) {
    say(`The model cannot be loaded: ${answer.error}.`, true);
    return;
  }
  model = answer;
  const { num_frames: frames, height, width } = model.clip;
  element("model").textContent =
    `Model ${model.name}: ${model.glosses.length} glosses, from ${frames} frames of ` +
    `${width} × ${height} pixels. Nothing leaves this ${model.isLocal ? "device" : "server"}.`;
  const most = model.limits
    ? `, at most ${model.limits.max_mib} MiB and ` +
      `${model.limits.max_frames.toLocaleString("en")} frames`
    : "";
  element("limits").textContent = `One sign from its first frame to its last${most}.`;
  say("");
}

async function post(video) {
  const options = { method: "POST", body: video, headers: headers() };
  for (let attempt = 0; ; attempt += 1) {
    const response = await ask("predict?frames=true", options);
    if (response.status !== 429 || attempt === 4) return response;
    say("The server is busy. Trying again …");
    await wait(1000 * Number(response.headers.get("retry-after") || 1));
  }
}

async function recognise(video) {
  if (busy) return;
  if (model?.limits && video.size > model.limits.max_mib * 2 ** 20) {
    say(`This video is larger than ${model.limits.max_mib} MiB.`, true);
    return;
  }
  stopLive();
  setBusy(true);
  element("result").hidden = true;
  element("live-result").hidden = true;
  say("Recognising …");
  try {
    const response = await post(video);
    const answer = await response.json();
    if (response.status === 401) await loadModel();
    else if (response.ok) show(answer);
    else say(`No result: ${answer.error}.`, true);
  } catch {
    say("The server did not answer. Is it still running?", true);
  } finally {
    setBusy(false);
  }
}

function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}

function seconds(value) {
  return `${value.toFixed(2)} s`;
}

function part(name, content) {
  const span = document.createElement("span");
  span.className = name;
  span.textContent = content;
  return span;
}

function show(answer) {
  const items = answer.predictions.map(({ gloss, probability }) => {
    const item = document.createElement("li");
    const bar = part("bar", "");
    bar.style.width = `${100 * probability}%`;
    item.append(bar, part("gloss", gloss), " ", part("share", percent(probability)));
    return item;
  });
  element("glosses").replaceChildren(...items);
  const time = answer.seconds;
  const upload = time.upload === undefined ? "" : `upload ${seconds(time.upload)}, `;
  element("times").textContent =
    `${seconds(time.total)} in all: ${upload}` +
    `decoding ${seconds(time.decode)}, network ${seconds(time.network)}.`;
  const isShort = answer.num_distinct_frames < answer.frames.length;
  element("short").hidden = !isShort;
  element("short").textContent = isShort
    ? `The model saw only ${answer.num_distinct_frames} different frames, as some were repeated.`
    : "";
  element("frames-title").textContent =
    `The ${answer.frames.length} frames that the model saw, ` +
    `of ${answer.num_video_frames} in the video`;
  const frames = answer.frames.map((jpeg, number) => {
    const item = document.createElement("li");
    const image = document.createElement("img");
    image.src = `data:image/jpeg;base64,${jpeg}`;
    image.alt = `Frame ${answer.frame_indices[number] + 1} of the video`;
    item.append(image);
    return item;
  });
  element("frames").replaceChildren(...frames);
  const [first] = answer.predictions;
  element("result").hidden = false;
  say(`Most probable: “${first.gloss}”, ${percent(first.probability)}.`);
  element("result-title").focus();
}

async function startCamera() {
  if (stream) {
    stopCamera();
    return;
  }
  if (!navigator.mediaDevices || !window.MediaRecorder) {
    say(
      "A browser lets a page use the camera only over https or on this machine itself. " +
        "Record a video with the camera's own app, and choose it here.",
      true,
    );
    return;
  }
  try {
    stream = await navigator.mediaDevices.getUserMedia({
      video: { width: { ideal: 640 }, height: { ideal: 480 }, facingMode: "user" },
      audio: false,
    });
  } catch (error) {
    say(`The camera cannot be used (${error.name}). Is it allowed, and free?`, true);
    return;
  }
  element("preview").srcObject = stream;
  await element("preview").play();
  cameraIsOn(true);
  say("The camera is on.");
  element("record").focus();
}

function cameraIsOn(on) {
  element("stage").hidden = !on;
  element("record").hidden = !on;
  // Windows are sent as a kind of video that only the server decodes.
  element("live").hidden = !on || Boolean(model?.isLocal);
  element("length-label").hidden = !on;
  element("camera").textContent = on ? "Stop the camera" : "Start the camera";
}

function stopCamera() {
  stopLive();
  for (const track of stream.getTracks()) track.stop();
  stream = null;
  element("preview").srcObject = null;
  cameraIsOn(false);
  say("The camera is off.");
}

function recorderOf(source) {
  const types = ["video/webm;codecs=vp8", "video/webm", "video/mp4"];
  const mimeType = types.find((type) => MediaRecorder.isTypeSupported(type));
  return new MediaRecorder(source, { mimeType, videoBitsPerSecond: 4e6 });
}

async function record() {
  if (busy || !stream) return;
  setBusy(true);
  element("result").hidden = true;
  const count = element("count");
  count.hidden = false;
  for (const number of [3, 2, 1]) {
    count.textContent = number;
    say(`${number} …`);
    await wait(1000);
  }
  count.hidden = true;
  const pieces = [];
  const recorder = recorderOf(stream);
  recorder.addEventListener("dataavailable", (event) => pieces.push(event.data));
  const ended = new Promise((done) => recorder.addEventListener("stop", done));
  element("stage").classList.add("recording");
  say("Recording: sign now.");
  recorder.start();
  await wait(1000 * Number(element("length").value));
  if (recorder.state !== "inactive") recorder.stop();
  await ended;
  element("stage").classList.remove("recording");
  setBusy(false);
  await recognise(new Blob(pieces, { type: recorder.mimeType }));
}

element("file").addEventListener("change", (event) => {
  const [video] = event.target.files;
  // So that the same file can be chosen again.
  if (video) recognise(video).then(() => (event.target.value = ""));
});
element("camera").addEventListener("click", startCamera);
element("record").addEventListener("click", record);
element("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", element("token").value.trim());
  loadModel();
});

const drop = element("drop");
for (const name of ["dragover", "dragleave", "drop"]) {
  // Anywhere on the page: a video beside the field would replace the page.
  document.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", name === "dragover");
    const [video] = name === "drop" ? event.dataTransfer.files : [];
    if (video) recognise(video);
  });
}

loadModel().catch(() => say("The server did not answer. Is it still running?", true));
