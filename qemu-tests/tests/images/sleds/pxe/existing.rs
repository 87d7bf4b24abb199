//! What people have already: their DHCP server, their web server.

use super::support::{SOON, Scene};
use qemu_tests::namespace::GATEWAY;
use serde_json::{Value, json};
use sledos::qemu::{Boot, Firmware, MachineSpec, NicModel, machine};

const BIOS: &str = "52:54:00:00:01:01";
const UEFI: &str = "52:54:00:00:02:01";
/// The fleet: a sled of each kind.
const SLEDS: [(&str, &str); 2] = [("r1-b01", BIOS), ("r1-b02", UEFI)];
/// The range of every DHCP server here.
const RANGE: [&str; 2] = ["10.77.0.100", "10.77.0.200"];

fn scene(name: &str) -> Scene {
    let scene = Scene::new(name);
    let sleds = SLEDS.iter().zip(1..);
    let line = |((name, mac), bay): (&(&str, &str), u32)| {
        format!("  {name}: {{rack: r1, bay: {bay}, role: compute, macs: ['{mac}']}}\n")
    };
    scene.fleet(&sleds.map(line).collect::<String>());
    scene
}

fn uefi(scene: &Scene) -> MachineSpec {
    scene.blank(NicModel::Virtio, UEFI, machine::uefi_vars(&scene.dir).expect("OVMF is installed"))
}

/// The console of a machine from power-on to this text.
fn until(scene: &Scene, name: &str, spec: &MachineSpec, told: &str) -> String {
    scene.power_on(name, spec).wait_for(told, SOON).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Publishes, and lets nginx serve that with the exported configuration, and dnsmasq
/// TFTP, which nginx does not have.
fn static_servers(scene: &mut Scene) {
    let images =
        super::support::compute().ancestors().nth(2).expect("it is NAME/VERSION").display().to_string();
    let publish =
        ["publish", "DIR/www", "--fleet", "DIR/fleet.yaml", "--key", "DIR/ops.key", "--images", &images];
    let says = scene.sledos(&publish);
    assert!(says.contains("2 documents new"), "{says}");
    assert!(scene.sledos(&publish).contains("0 images new"), "a second time there is nothing to do");
    let dir = scene.dir.display().to_string();
    let export = ["fleet", "export", "nginx", "--fleet", "DIR/fleet.yaml", "--root", "DIR/www"];
    let server = scene.sledos(&export);
    let config = format!(
        "daemon off; master_process off; user root; pid {dir}/nginx.pid; error_log {dir}/nginx.err; events {{}}\n\
         http {{ access_log {dir}/access.log; client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; \
         fastcgi_temp_path {dir}/fastcgi; uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;\n{server}}}\n"
    );
    let file = format!("{dir}/nginx.conf");
    std::fs::write(&file, config).expect("the directory is there");
    scene.daemon("nginx-light", "nginx", &["-c", &file], ("tcp", 8080));
    let root = format!("--tftp-root={dir}/www/pxe");
    let tftp = [
        "--keep-in-foreground",
        "--pid-file=",
        "--conf-file=/dev/null",
        "--port=0",
        "--enable-tftp",
        "--user=root",
    ];
    let args = [&tftp[..], &[&root, "--interface=br0", "--bind-interfaces"]].concat();
    scene.daemon("dnsmasq-base", "dnsmasq", &args, ("udp", 69));
}

/// Both sleds get their document and bring the image from nginx; no server of ours runs.
/// UEFI by its own PXE, or by HTTP without iPXE.
fn sleds_come_up_from_nginx(scene: &Scene, http: bool) {
    let bios = scene.blank(NicModel::E1000e, BIOS, Firmware::Bios);
    let console = until(scene, "bios", &bios, "sledos: live: compute test in ");
    assert!(console.contains("metadata: r1-b01 generation 1 from "), "{console}");
    let mut spec = uefi(scene);
    if http {
        spec.boot = Boot::Http;
    }
    let console = until(scene, "uefi", &spec, "metadata: r1-b02 generation 1 from ");
    let log = std::fs::read_to_string(scene.dir.join("access.log")).expect("nginx writes it");
    let got = |file: &str| log.contains(&format!("GET /{file} HTTP/1.1\" 200 "));
    assert!(got("v1/ipxe/mac/52-54-00-00-01-01.ipxe") && got("images/compute/test/vmlinuz"), "{log}");
    if http {
        assert!(got("pxe/boot.efi") && !got("images/compute/test/compute.efi"), "{log}");
        assert!(!console.contains("iPXE"), "{console}");
    } else {
        assert!(got("images/compute/test/compute.efi"), "{log}");
    }
}

#[test]
fn proxy_mode_beside_a_dhcp_server_that_knows_nothing_of_booting() {
    let mut scene = scene("proxy");
    let range = format!("--dhcp-range={},{},1h", RANGE[0], RANGE[1]);
    let leases = format!("--dhcp-leasefile={}", scene.dir.join("leases").display());
    let args = [
        "--keep-in-foreground",
        "--pid-file=",
        "--conf-file=/dev/null",
        "--port=0",
        "--user=root",
        "--interface=eth0",
    ];
    // The other server is another machine, plugged into the same switch.
    scene.daemon_at(
        "10.77.0.2",
        "dnsmasq-base",
        "dnsmasq",
        &[&args[..], &[&range, &leases]].concat(),
        ("udp", 67),
    );
    scene.serve(&[]);
    let bios = scene.blank(NicModel::E1000e, BIOS, Firmware::Bios);
    until(&scene, "bios", &bios, "metadata: r1-b01 generation 1 from ");
    let console = until(&scene, "uefi", &uefi(&scene), "metadata: r1-b02 generation 1 from ");
    assert!(console.contains("/images/compute/test/compute.efi"), "the UKI: {console}");
}

#[test]
fn isc_dhcpd_and_nginx_with_the_exported_files_and_uefi_boots_over_http() {
    let mut scene = scene("isc");
    static_servers(&mut scene);
    let boot = scene.sledos(&["fleet", "export", "isc-dhcpd", "--uki", "--fleet", "DIR/fleet.yaml"]);
    let file = |name: &str| scene.dir.join(name).display().to_string();
    let (boot_file, main, leases) = (file("sledos.conf"), file("dhcpd.conf"), file("dhcpd.leases"));
    let subnet = format!(
        "authoritative;\ninclude \"{boot_file}\";\n\
         subnet 10.77.0.0 netmask 255.255.255.0 {{ range {} {}; }}\n",
        RANGE[0], RANGE[1]
    );
    for (path, text) in [(&boot_file, &boot), (&main, &subnet), (&leases, &String::new())] {
        std::fs::write(path, text).expect("the directory is there");
    }
    let pid = file("dhcpd.pid");
    let args = ["-f", "-d", "-4", "-cf", &main, "-lf", &leases, "-pf", &pid, "br0"];
    scene.daemon("isc-dhcp-server", "dhcpd", &args, ("udp", 67));
    sleds_come_up_from_nginx(&scene, true);
}

#[test]
fn kea_and_nginx_with_the_exported_files() {
    let mut scene = scene("kea");
    static_servers(&mut scene);
    let text = scene.sledos(&["fleet", "export", "kea", "--fleet", "DIR/fleet.yaml"]);
    let mut config: Value = serde_json::from_str(&text).expect("it is JSON");
    let dhcp = &mut config["Dhcp4"];
    dhcp["interfaces-config"]["interfaces"] = json!(["br0"]);
    dhcp["lease-database"]["persist"] = json!(false);
    let pool = format!("{} - {}", RANGE[0], RANGE[1]);
    dhcp["subnet4"] = json!([{"id": 1, "subnet": "10.77.0.0/24", "pools": [{"pool": pool}]}]);
    let file = scene.dir.join("kea.json");
    std::fs::write(&file, config.to_string()).expect("the directory is there");
    scene.daemon("kea-dhcp4-server", "kea-dhcp4", &["-c", &file.display().to_string()], ("udp", 67));
    sleds_come_up_from_nginx(&scene, false);
    assert_eq!(GATEWAY, "10.77.0.1", "it is in the configurations above");
}
