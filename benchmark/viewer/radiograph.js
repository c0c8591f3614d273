// The radiograph: zoom, pan, window and level, region boxes. Pixels of a page opened from a file cannot be read by its script, so the
// window is a filter that the browser applies (feComponentTransfer in page.html), in sRGB: a grey value is shown as it was stored.

const GREYS = 256;
const MOST_ZOOM = 12;
const ZOOM_STEP = 1.25;
const PAN_STEP_PX = 40;
const FEW_BOXES = 6; // so many can have their names written beside them
const NAME_SHARE = 1 / 34; // of the longer edge of the image, the height of such a name
const viewing = { width: GREYS, centre: GREYS / 2, isInverted: false, hasBoxes: false, source: "", off: new Set() }; // kept from case to case
let viewer = null; // the radiograph on the page, for the keys

/** The radiograph of a case with its tools. `sources` are sets of boxes: [{name, title, boxes}]; `lightRegion(name)` hears what is pointed at. */
function buildRadiograph(record, images, sources, lightRegion) {
  const picture = el("div", { class: "picture" });
  const said = el("p", { class: "box-name", "aria-hidden": "true" });
  const stage = el(
    "div",
    {
      class: "stage",
      id: "stage",
      tabindex: "0",
      role: "group",
      "aria-roledescription": "radiograph",
      "aria-label": "Radiograph. Arrow keys move it, plus and minus zoom, w resets grey values, i inverts, b shows boxes.",
    },
    picture,
    said,
  );
  const made = { record, images, sources, lightRegion, picture, stage, said, shown: 0, zoom: 1, x: 0, y: 0, overlay: null };
  viewer = made;
  stage.addEventListener("wheel", (event) => zoomByWheel(made, event), { passive: false });
  stage.addEventListener("pointerdown", (event) => dragStage(made, event));
  stage.addEventListener("contextmenu", (event) => event.preventDefault());
  stage.addEventListener("dblclick", () => fitStage(made));
  stage.addEventListener("keydown", (event) => panByKey(made, event));
  made.tools = el("div", { class: "stage-tools" });
  made.regions = el("div", { class: "stage-regions", id: "stage-regions" });
  made.element = el("div", { class: "radiograph" }, stage, el("div", { class: "stage-under" }, made.tools, buildThumbnails(made)), made.regions);
  drawPicture(made);
  drawTools(made);
  drawRegions(made);
  return made;
}

function imageAddress(record, place) {
  return `page/images/${record.place}-${place}.jpg`;
}

/** Why an image is not shown, in words, or "". */
function whyAbsent(record, images, place) {
  if (!record.images.length) return "This case has no image.";
  if (images.how === "none") return images.why || "Images are not part of this page.";
  const why = record.images[place].why || images.absent?.[`${record.place}-${place}`];
  return why ? `This image is not shown: ${why}` : "";
}

function drawPicture(made) {
  const { record, images, picture, stage } = made;
  const place = made.shown;
  const why = whyAbsent(record, images, place);
  const image = record.images[place];
  made.overlay = svg("svg", { class: "boxes", "aria-hidden": "true", preserveAspectRatio: "xMidYMid meet" });
  stage.classList.toggle("absent", Boolean(why));
  if (why) {
    picture.replaceChildren(el("p", { class: "no-image" }, why));
    return;
  }
  const view = image.view ? `${image.view} view` : "view not known";
  const photo = el("img", {
    src: imageAddress(record, place),
    alt: `Radiograph, ${view}, of case ${named(record.id)}`,
    draggable: "false",
    decoding: "async",
  });
  photo.addEventListener("load", () => {
    if (!image.width || !image.height) sizeOverlay(made, photo.naturalWidth, photo.naturalHeight);
  });
  photo.addEventListener("error", () => {
    stage.classList.add("absent");
    picture.replaceChildren(
      el(
        "p",
        { class: "no-image" },
        `${imageAddress(record, place)} could not be read. Write the page again with its images: python -m benchmark view RUN --again --images embed`,
      ),
    );
  });
  if (image.width && image.height) sizeOverlay(made, image.width, image.height);
  picture.replaceChildren(photo, made.overlay);
  drawBoxes(made);
  fitStage(made);
  applyWindow();
}

/** Boxes are in pixels of the stored file, whatever the size of the copy that is shown. */
function sizeOverlay(made, width, height) {
  made.overlay.setAttribute("viewBox", `0 0 ${width} ${height}`);
  made.namePx = Math.max(width, height) * NAME_SHARE;
  drawBoxes(made);
}

// ---- boxes

function boxesShown(made) {
  return made.sources.find((source) => source.name === viewing.source) ?? made.sources[0] ?? { name: "", title: "", boxes: {} };
}

function drawBoxes(made) {
  if (!made.overlay) return;
  made.stage.classList.toggle("has-boxes", viewing.hasBoxes);
  const area = ([left, top, right, bottom]) => (right - left) * (bottom - top);
  const entries = made.shown === 0 ? Object.entries(boxesShown(made).boxes) : []; // boxes are drawn on the first view
  entries.sort(([, one], [, other]) => area(other) - area(one)); // the small ones on top, or nobody could point at them
  const drawn = viewing.hasBoxes ? entries.filter(([name]) => !viewing.off.has(name)) : [];
  made.overlay.classList.toggle("many", drawn.length > FEW_BOXES); // then a name is shown when its box is pointed at, and on paper
  const names = made.namePx ? drawn.map(([name, box]) => boxName(made, name, box)) : [];
  made.overlay.replaceChildren(...drawn.map(([name, box]) => drawBox(made, name, box)), ...names);
}

/** In the upper corner of its box that is nearer to the middle of the image, or the edge would cut it. */
function boxName(made, name, [left, top, right]) {
  const px = made.namePx;
  const isOnTheRight = (left + right) / 2 > 0.6 * made.overlay.viewBox.baseVal.width;
  const place = isOnTheRight ? { x: right - px / 4, "text-anchor": "end" } : { x: left + px / 4 };
  return svg("text", { ...place, y: top + px, "font-size": px.toFixed(1) }, named(name));
}

function drawBox(made, name, [left, top, right, bottom]) {
  return svg("rect", {
    x: left,
    y: top,
    width: Math.max(0, right - left),
    height: Math.max(0, bottom - top),
    "data-region": name,
    onpointerenter: () => made.lightRegion(name),
    onpointerleave: () => made.lightRegion(""),
  });
}

/** Lights the box of a region, from the boxes given or those shown; no name puts the light out. */
function lightBox(made, name, boxes) {
  for (const rect of made.overlay?.querySelectorAll("rect") ?? []) {
    if (rect.classList.contains("passing")) rect.remove();
    else rect.classList.toggle("lit", Boolean(name) && rect.dataset.region === name);
  }
  made.said.textContent = named(name);
  const box = boxes?.[name] ?? boxesShown(made).boxes[name];
  const isThere = name && made.overlay?.querySelector("rect.lit");
  if (!box || isThere || made.shown !== 0) return;
  const rect = drawBox(made, name, box);
  rect.setAttribute("class", "lit passing"); // boxes are off, or it is of a model whose boxes are not the ones shown
  made.overlay.append(rect);
}

function drawRegions(made) {
  const source = boxesShown(made);
  const names = Object.keys(source.boxes);
  if (!names.length) return void made.regions.replaceChildren();
  const isOpen = made.regions.querySelector("details")?.open ?? false;
  const turn = (name, isOn) => {
    viewing.off[isOn ? "delete" : "add"](name);
    if (!viewing.hasBoxes) toggleBoxes(made);
    drawBoxes(made);
  };
  const all = (isOn) => () => {
    names.forEach((name) => viewing.off[isOn ? "delete" : "add"](name));
    if (isOn && !viewing.hasBoxes) toggleBoxes(made);
    drawBoxes(made);
    drawRegions(made);
    announce(isOn ? `All ${names.length} boxes are chosen` : "No box is chosen: none is drawn");
  };
  const chosen = el(
    "select",
    {
      id: "box-source",
      onchange: (event) => {
        viewing.source = event.target.value;
        drawBoxes(made);
        drawRegions(made);
      },
    },
    made.sources.map((one) => el("option", { value: one.name, selected: one === source }, one.title)),
  );
  const boxes = names.map((name) =>
    el(
      "label",
      { onpointerenter: () => made.lightRegion(name), onpointerleave: () => made.lightRegion("") },
      el("input", { type: "checkbox", checked: !viewing.off.has(name), onchange: (event) => turn(name, event.target.checked) }),
      named(name),
    ),
  );
  const drawer = el(
      "details",
      { class: "drawer", open: isOpen },
      el("summary", {}, `Region boxes `, el("span", { class: "soft" }, names.length)),
      el(
        "div",
        { class: "region-head" },
        el("div", { class: "field" }, el("label", { for: "box-source" }, "Boxes of"), chosen),
        el("button", { type: "button", id: "boxes-all", onclick: all(true) }, "All"),
        el("button", { type: "button", id: "boxes-none", onclick: all(false) }, "None"),
      ),
      el("div", { class: "region-list" }, boxes),
  );
  keepFocus(made.regions, () => made.regions.replaceChildren(drawer));
}

function toggleBoxes(made) {
  viewing.hasBoxes = !viewing.hasBoxes;
  drawBoxes(made);
  drawTools(made);
  announce(viewing.hasBoxes ? `Boxes on: ${boxesShown(made).title}` : "Boxes off");
}

// ---- further views

function buildThumbnails(made) {
  const { record, images } = made;
  if (record.images.length < 2) return null;
  const buttons = record.images.map((image, place) => {
    const inside = whyAbsent(record, images, place)
      ? el("span", { class: "no-image" }, "–")
      : el("img", { src: imageAddress(record, place), alt: "", loading: "lazy", draggable: "false" });
    const show = () => {
      made.shown = place;
      buttons.forEach((button, at) => button.setAttribute("aria-pressed", String(at === place)));
      drawPicture(made);
    };
    return el(
      "button",
      { type: "button", class: "thumbnail", "aria-pressed": String(place === 0), onclick: show },
      inside,
      el("span", {}, image.view || `View ${place + 1}`),
    );
  });
  return el("div", { class: "thumbnails", role: "group", "aria-label": "Views of this study" }, buttons);
}

// ---- window and level

/** Grey g becomes (g - (centre - width / 2)) / width, cut to what a screen can show. */
function applyWindow() {
  let slope = GREYS / viewing.width;
  let intercept = 0.5 - (slope * viewing.centre) / GREYS;
  if (viewing.isInverted) [slope, intercept] = [-slope, 1 - intercept];
  for (const transfer of document.querySelectorAll("#window-level feComponentTransfer > *")) {
    transfer.setAttribute("slope", slope.toFixed(4));
    transfer.setAttribute("intercept", intercept.toFixed(4));
  }
  const isPlain = viewing.width === GREYS && viewing.centre === GREYS / 2 && !viewing.isInverted;
  viewer?.stage.classList.toggle("windowed", !isPlain);
  const controls = { "window-width": viewing.width, "window-centre": viewing.centre };
  for (const [id, value] of Object.entries(controls)) {
    const slider = document.getElementById(id);
    if (slider) slider.value = value;
  }
}

function setWindow(width, centre) {
  viewing.width = Math.max(8, Math.min(2 * GREYS, Math.round(width)));
  viewing.centre = Math.max(0, Math.min(GREYS, Math.round(centre)));
  applyWindow();
}

function resetWindow(made) {
  viewing.isInverted = false;
  setWindow(GREYS, GREYS / 2);
  drawTools(made);
  announce("Grey values as stored");
}

function toggleInvert(made) {
  viewing.isInverted = !viewing.isInverted;
  applyWindow();
  drawTools(made);
  announce(viewing.isInverted ? "Inverted" : "Not inverted");
}

// ---- zoom and pan

function placePicture(made) {
  const { clientWidth: width, clientHeight: height } = made.stage;
  made.x = Math.min(0, Math.max(width - width * made.zoom, made.x)); // an edge never leaves its side of the stage
  made.y = Math.min(0, Math.max(height - height * made.zoom, made.y));
  made.picture.style.setProperty("transform", `translate(${made.x}px, ${made.y}px) scale(${made.zoom})`);
  made.picture.style.setProperty("--zoom", made.zoom);
  made.stage.classList.toggle("zoomed", made.zoom > 1);
}

/** Zooms about a point of the stage, its middle unless one is given. */
function zoomStage(made, factor, x = made.stage.clientWidth / 2, y = made.stage.clientHeight / 2) {
  const zoom = Math.max(1, Math.min(MOST_ZOOM, made.zoom * factor));
  made.x = x - ((x - made.x) * zoom) / made.zoom;
  made.y = y - ((y - made.y) * zoom) / made.zoom;
  made.zoom = zoom;
  placePicture(made);
}

function fitStage(made) {
  Object.assign(made, { zoom: 1, x: 0, y: 0 });
  placePicture(made);
}

function zoomByWheel(made, event) {
  if (made.stage.classList.contains("absent")) return;
  event.preventDefault();
  const edge = made.stage.getBoundingClientRect();
  zoomStage(made, Math.exp(-event.deltaY / 400), event.clientX - edge.left, event.clientY - edge.top);
}

/** A drag pans; with the right button or the shift key it sets the window: across its width, along its level. */
function dragStage(made, event) {
  if (made.stage.classList.contains("absent") || event.button === 1) return;
  const isWindow = event.button === 2 || event.shiftKey;
  const begun = { x: event.clientX, y: event.clientY, left: made.x, top: made.y, width: viewing.width, centre: viewing.centre };
  const move = (now) => {
    const [across, along] = [now.clientX - begun.x, now.clientY - begun.y];
    if (isWindow) return void setWindow(begun.width + across, begun.centre + along / 2);
    [made.x, made.y] = [begun.left + across, begun.top + along];
    placePicture(made);
  };
  const stop = () => {
    made.stage.classList.remove("dragged");
    made.stage.removeEventListener("pointermove", move);
    made.stage.removeEventListener("pointerup", stop);
    made.stage.removeEventListener("pointercancel", stop);
  };
  made.stage.setPointerCapture(event.pointerId);
  made.stage.classList.add("dragged");
  made.stage.addEventListener("pointermove", move);
  made.stage.addEventListener("pointerup", stop);
  made.stage.addEventListener("pointercancel", stop);
}

function panByKey(made, event) {
  const steps = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  const step = steps[event.key];
  if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  made.x += step[0] * PAN_STEP_PX;
  made.y += step[1] * PAN_STEP_PX;
  placePicture(made);
}

// ---- tools under the stage

function drawTools(made) {
  const button = (id, words, label, act, pressed) =>
    el(
      "button",
      {
        type: "button",
        id,
        title: label,
        "aria-label": label,
        "aria-pressed": pressed === undefined ? null : String(pressed),
        onclick: () => act(made),
      },
      words,
    );
  const slider = (id, words, least, most, value, set) =>
    el(
      "label",
      { class: "slider" },
      el("span", {}, words),
      el("input", { type: "range", id, min: least, max: most, value, oninput: (event) => set(Number(event.target.value)) }),
    );
  const hasBoxes = made.sources.some((source) => Object.keys(source.boxes).length);
  const rows = [
    el(
      "div",
      { class: "button-row" },
      button("zoom-in", "+", "Zoom in (+)", () => zoomStage(made, ZOOM_STEP)),
      button("zoom-out", "−", "Zoom out (−)", () => zoomStage(made, 1 / ZOOM_STEP)),
      button("zoom-fit", "Fit", "Fit the image (0)", fitStage),
      button("invert", "Invert", "Invert (i)", toggleInvert, viewing.isInverted),
      hasBoxes ? button("show-boxes", "Boxes", "Region boxes (b)", toggleBoxes, viewing.hasBoxes) : null,
    ),
    el(
      "div",
      { class: "button-row" },
      slider("window-centre", "Level", 0, GREYS, viewing.centre, (value) => setWindow(viewing.width, value)),
      slider("window-width", "Window", 8, 2 * GREYS, viewing.width, (value) => setWindow(value, viewing.centre)),
      button("window-reset", "Reset", "Reset window and level (w)", resetWindow),
    ),
  ];
  keepFocus(made.tools, () => made.tools.replaceChildren(...rows));
}
