// One sled: what it is, its boot as a chart, its inventory, its history.
import { make, asked } from "./app.js";

const time = (ms) => (ms ? new Date(ms).toLocaleString("en-GB") : "never");
const seconds = (ms) => `${(ms / 1000).toFixed(2)}\u00a0s`;
const row = (name, value) => (value === null || value === undefined || value === "" ? [] : [make("dt", {}, name), make("dd", {}, String(value))]);

const table = (caption, heads, rows) => (rows.length ? filled(caption, heads, rows) : make("p", {}, `${caption}: none.`));
const filled = (caption, heads, rows) => make("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": caption },
  make("table", { "aria-label": caption },
    make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", { scope: "col" }, head)))),
    make("tbody", {}, ...rows.map((cells) => make("tr", {}, ...cells.map((cell) => make("td", {}, String(cell ?? ""))))))));

const SVG = "http://www.w3.org/2000/svg";
const svg = (tag, attributes, text) => {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text) element.textContent = text;
  return element;
};

// Each step a bar from where it began; the table below says the same.
const chart = (steps) => {
  const end = Math.max(1, ...steps.map((step) => step.start_ms + step.took_ms));
  const [left, width, height] = [130, 700, 20];
  const root = svg("svg", { class: "chart", viewBox: `0 0 ${left + width + 80} ${steps.length * height + 24}`, role: "img",
    "aria-label": `Boot timeline: ${steps.length} steps in ${seconds(end)}; the table below has the numbers` });
  for (let n = 0; n <= 4; n += 1) {
    const x = left + (width * n) / 4;
    root.append(svg("line", { class: "grid", x1: x, x2: x, y1: 0, y2: steps.length * height }));
    root.append(svg("text", { x, y: steps.length * height + 16, "text-anchor": "middle" }, seconds((end * n) / 4)));
  }
  steps.forEach((step, n) => {
    const x = left + (width * step.start_ms) / end;
    const kind = step.result === "ok" ? "" : step.result === "warning" ? " warning" : " bad";
    root.append(svg("text", { x: left - 8, y: n * height + 14, "text-anchor": "end" }, step.step));
    root.append(svg("rect", { class: `bar${kind}`, x, y: n * height + 3, width: Math.max(2, (width * step.took_ms) / end), height: height - 6, rx: 2 }));
    root.append(svg("text", { x: Math.min(left + width + 4, x + (width * step.took_ms) / end + 5), y: n * height + 14 }, `${step.took_ms} ms`));
  });
  return root;
};

const gb = (bytes) => (bytes ? `${(bytes / 1e9).toFixed(1)} GB` : "");

const inventory = (hardware) => {
  if (!hardware) return [make("p", {}, "No inventory yet.")];
  const smbios = hardware.smbios ?? {};
  const cpus = hardware.cpus ?? {};
  const port = (at) => `${at.name ?? at.chassis} port ${at.port}`;
  const at = (nic) => [nic.neighbour, ...(nic.other_neighbours ?? [])].filter(Boolean).map(port).join(", also ");
  return [
    make("dl", {}, ...row("board", [smbios.board_vendor, smbios.board_name].filter(Boolean).join(" ")), ...row("board serial", smbios.board_serial),
      ...row("product", [smbios.sys_vendor, smbios.product_name].filter(Boolean).join(" ")), ...row("product serial", smbios.product_serial),
      ...row("UUID", smbios.product_uuid), ...row("firmware", smbios.bios_version),
      ...row("processors", cpus.threads && `${cpus.model ?? ""}: ${cpus.sockets} sockets, ${cpus.cores} cores, ${cpus.threads} threads`),
      ...row("memory", gb(hardware.memory)), ...row("BMC", hardware.bmc_mac)),
    table("Network cards", ["name", "MAC", "driver", "device", "Mbit/s", "plugged into"],
      (hardware.nics ?? []).map((nic) => [[nic.name, ...(nic.alternative_names ?? [])].join(", "), nic.mac, nic.driver, nic.device, nic.carrier === false ? "no link" : nic.speed, at(nic)])),
    table("Disks", ["name", "size", "model", "serial", "attached by"],
      (hardware.disks ?? []).map((disk) => [disk.name, gb(disk.size), disk.model, disk.serial, disk.transport])),
  ];
};

const content = ({ sled, facts, history, report }) => {
  const parts = [];
  if (sled) {
    parts.push(make("dl", {}, ...row("state", sled.code ? `${sled.state} ${sled.code}` : sled.state), ...row("what", sled.detail + asked(sled)),
      ...row("place", `rack ${sled.rack}, bay ${sled.bay}`), ...row("role", sled.role), ...row("asked for", sled.image),
      ...row("runs", facts.image && `${facts.image} ${facts.version ?? ""}, root hash ${facts.usrhash ?? "?"}`),
      ...row("document", facts.generation && [`generation ${facts.generation}`, report?.freshness].filter(Boolean).join(", ")), ...row("last heard of", time(sled.heard)), ...row("address", sled.address)));
    if (sled.findings.length) {
      parts.push(make("h3", {}, "Other than expected"), table("Differences", ["what", "how"], sled.findings.map((f) => [f.kind, f.detail])));
    }
  }
  if (report?.steps?.length) {
    parts.push(make("h3", {}, "Boot timeline"), chart(report.steps),
      table("Steps of the boot", ["step", "began", "took", "result", "detail"],
        report.steps.map((step) => [step.step, seconds(step.start_ms), seconds(step.took_ms), step.result, step.detail])));
  }
  if (report?.crashes?.length) {
    parts.push(make("h3", {}, "Services that crashed"),
      table("Since the boot", ["what systemd says", "times"], report.crashes.map((crash) => [crash.says, crash.times])));
  }
  parts.push(make("h3", {}, "Inventory"), ...inventory(report?.hardware));
  parts.push(make("h3", {}, "History"), history.length
    ? table("History", ["when", "state", "what"], history.slice().reverse().map((change) => [time(change.at), change.state, change.detail]))
    : make("p", {}, "Nothing was ever heard of it."));
  return parts;
};

export const showDetail = async (id, dialog, title, body) => {
  title.textContent = id;
  body.replaceChildren(make("p", {}, "Asking the server…"));
  dialog.showModal();
  title.focus();
  try {
    const response = await fetch(`/v1/sleds/${encodeURIComponent(id)}`);
    if (!response.ok) throw new Error(await response.text());
    body.replaceChildren(...content(await response.json()));
  } catch (error) {
    body.replaceChildren(make("p", {}, `The server does not say: ${error.message}`));
  }
};
