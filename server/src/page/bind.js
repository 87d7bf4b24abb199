// Takes unknown hardware in.
import { make } from "./app.js";

const field = (label, input) => make("label", {}, label, input);

// What would be written into the fleet file.
const facts = (hardware) => [
  hardware["board-serial"] && `board ${hardware["board-serial"]}`,
  hardware["product-serial"] && `product ${hardware["product-serial"]}`,
  hardware.uuid && `UUID ${hardware.uuid}`,
  ...(hardware.nics ?? []).map((nic) => nic.mac && `MAC ${nic.mac}${nic.neighbour ? ` on port ${nic.neighbour[1]} of ${nic.neighbour[0]}` : ""}`),
].filter(Boolean).join(", ");

// A form for each source that says it is this hardware. The server takes what was shown or nothing.
export const bindForms = (unknown, world) => [unknown, ...unknown.conflicts].map((source) => form(unknown, source, world));

// The token is kept by the browser until the window closes.
const form = (unknown, source, world) => {
  const [rack, bay] = unknown.place ?? [Object.keys(world.status.racks)[0], 1];
  const says = make("output", {});
  const racks = make("select", { name: "rack" }, ...Object.keys(world.status.racks).map((name) => make("option", { selected: name === rack }, name)));
  const roles = make("select", { name: "role" }, ...world.status.roles.map((name) => make("option", {}, name)));
  const bays = make("input", { name: "bay", type: "number", min: 1, value: bay, required: true });
  const replace = make("input", { name: "replace", type: "checkbox" });
  const sentence = make("span", {});
  const warning = make("label", { class: "warning", hidden: true }, replace, sentence);
  const check = () => {
    const there = [...world.sleds.values()].find((sled) => sled.rack === racks.value && sled.bay === Number(bays.value));
    warning.hidden = !there;
    replace.required = Boolean(there);
    replace.checked = false;
    sentence.textContent = there ? `This bay is the place of ${there.sled}, which is ${there.state}. Replace it: its hardware is retired and refused from then on.` : "";
  };
  racks.addEventListener("change", check);
  bays.addEventListener("input", check);
  check();
  const send = async (event) => {
    event.preventDefault();
    const data = new FormData(event.target);
    sessionStorage.setItem("operator", data.get("token"));
    const wanted = { id: unknown.id, digest: source.digest, rack: data.get("rack"), bay: Number(data.get("bay")), role: data.get("role"), replace: replace.checked };
    const headers = { Authorization: `Bearer ${data.get("token").trim()}`, "Content-Type": "application/json" };
    try {
      const response = await fetch("/v1/bind", { method: "POST", headers, body: JSON.stringify(wanted) });
      says.textContent = await response.text();
    } catch (error) {
      says.textContent = `The server does not answer: ${error.message}`;
    }
  };
  const who = source.address ? `from ${source.address}: ` : "";
  return make("form", { class: "bind", onsubmit: send, "aria-label": `Make ${unknown.id} ${who}a sled` },
    make("p", { class: "facts" }, who + facts(source.hardware)),
    field("Rack", racks), field("Bay", bays), field("Role", roles),
    field("Operator's token", make("input", { name: "token", type: "password", required: true, autocomplete: "off", value: sessionStorage.getItem("operator") ?? "" })),
    warning, make("button", { class: "plain" }, "Make it a sled"), says);
};
