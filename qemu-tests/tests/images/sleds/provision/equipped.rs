//! A role with an Ignition config, and a board with a BMC: their part of [`super::live`].

use super::support::{MGMT, Scene, sled};
use qemu_tests::bmc::Simulator;
use qemu_tests::guest::Guest;

const IGNITION: &str = "    ignition:
      ignition: {version: 3.4.0}
      passwd:
        groups: [{name: app, gid: 3000}]
        users: [{name: app, uid: 3000, primaryGroup: app, groups: [docker]}]
      storage:
        directories: [{path: /var/lib/app, mode: 1512, user: {name: app}, group: {name: app}}]
        files:
          - {path: /etc/app/conf, contents: {source: 'data:,port%20%3D%208080%0A'}, mode: 416, group: {name: app}}
          - {path: /etc/profile, append: [{source: 'data:,export%20APP%3D1%0A'}]}
        links: [{path: /etc/app/link, target: conf}]
      systemd:
        units:
          - name: app.service
            enabled: true
            contents: |
              [Service]
              Type=oneshot
              RemainAfterExit=yes
              User=app
              ExecStart=/bin/sh -c 'id >/var/lib/app/id; cat /etc/app/link >>/var/lib/app/id'
              [Install]
              WantedBy=multi-user.target
";

/// Serves the fleet of a sled that has both.
pub(super) fn serve(scene: &Scene) {
    let lan = "      bmc: {address: '10.9.1.{bay}/22', gateway: 10.9.0.1, vlan: 300, user: ops, password: secret}\n";
    let yaml = scene
        .yaml(IGNITION, &sled("r1-b07", 7, MGMT))
        .replace("      ssh-keys:", &format!("{lan}      ssh-keys:"));
    scene.serve_text(&yaml);
}

/// Its files, users and units are as the config says; its BMC is as the document says.
pub(super) fn is_as_the_fleet_file_says(guest: &Guest, bmc: &Simulator) {
    let id = guest.run("cat /var/lib/app/id");
    assert!(id.starts_with("uid=3000(app) gid=3000(app) groups=3000(app),"), "{id}");
    assert!(id.contains("(docker)") && id.ends_with("port = 8080\n"), "{id}");
    let stat = |path: &str| guest.run(&format!("stat -c '%a %U:%G' {path}")).trim().to_owned();
    assert_eq!(stat("/etc/app/conf"), "640 root:app");
    assert_eq!(stat("/var/lib/app"), "2750 app:app");
    assert_eq!(guest.run(". /etc/profile; echo $APP").trim(), "1");

    // Said by the guest, asked by the real ipmitool, through the kernel's driver.
    println!("{}", guest.run("cat /run/sledos/bmc.json; journalctl -b -u sledos-bmc -o cat"));
    let lan = guest.run("ipmitool lan print 1 2>/dev/null; true");
    assert!(lan.contains("Static Address") && lan.contains(": 10.9.1.7\n"), "{lan}");
    assert!(lan.contains(": 255.255.252.0\n") && lan.contains(": 10.9.0.1\n"), "{lan}");
    assert_eq!(guest.run("ipmitool raw 0x0c 2 1 20 0 0").trim(), "11 2c 81");
    assert!(guest.run("ipmitool user list 1").contains("ops"));
    let writes = bmc.writes();
    assert!(guest.run("sledctl bmc").contains("the BMC is as it should be"));
    assert_eq!(bmc.writes(), writes);
}
