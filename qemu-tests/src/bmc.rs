//! A BMC that other people simulate: OpenIPMI's `ipmi_sim`.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The simulator, until it is dropped.
#[derive(Debug)]
pub struct Simulator {
    child: Child,
    dir: PathBuf,
    /// Port of its IPMI over LAN, UDP.
    pub lan: u16,
    /// Port of its serial side, TCP, as [`sledos::qemu::MachineSpec::bmc`] wants it.
    pub serial: u16,
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the simulator keeps LAN settings: it leaves them to a program.
const PROGRAM: &str = "#!/bin/sh
cd \"${0%/*}\"
echo \"$@\" >>asked
op=$1; shift
case $op in
get) for name; do echo \"$name:$(cat \"lan.$name\" 2>/dev/null || case $name in
    ip_addr_src) echo dhcp;; mac_addr) echo 52:54:00:00:00:01;; *) echo 0.0.0.0;; esac)\"; done;;
set) while [ $# -gt 1 ]; do echo \"$2\" >\"lan.$1\"; shift 2; done;;
esac
";

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

impl Simulator {
    /// Starts one with its files in `dir`. `command` runs `ipmi_sim`, maybe in a namespace.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(dir: &Path, mut command: Command) -> std::io::Result<Self> {
        fs::write(dir.join("lan.sh"), PROGRAM)?;
        fs::set_permissions(dir.join("lan.sh"), fs::Permissions::from_mode(0o755))?;
        let (lan, serial) = (free_port()?, free_port()?);
        let auths = "none md2 md5 straight";
        fs::write(
            dir.join("lan.conf"),
            format!(
                "name \"bmc\"\nset_working_mc 0x20\nstartlan 1\naddr 127.0.0.1 {lan}\npriv_limit admin\n\
                 allowed_auths_callback {auths}\nallowed_auths_user {auths}\nallowed_auths_operator {auths}\n\
                 allowed_auths_admin {auths}\nguid a123456789abcdefa123456789abcdef\n\
                 lan_config_program \"{}\"\nendlan\nserial 15 127.0.0.1 {serial} codec VM\n\
                 user 1 true \"\" \"test\" user 10 {auths}\nuser 2 true \"factory\" \"test\" admin 10 {auths}\n",
                dir.join("lan.sh").display()
            ),
        )?;
        let commands = "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr\n\
                        mc_enable 0x20\n";
        fs::write(dir.join("commands"), commands)?;
        fs::create_dir(dir.join("state"))?;
        let child = command
            .current_dir(dir)
            .args(["-c", "lan.conf", "-f", "commands", "-s", "state", "-n", "-x", ""])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { child, dir: dir.to_owned(), lan, serial })
    }

    /// How often settings of its LAN were written.
    pub fn writes(&self) -> usize {
        fs::read_to_string(self.dir.join("asked")).unwrap_or_default().matches("set ").count()
    }

    /// What ipmitool says over the LAN.
    ///
    /// # Panics
    /// When it is missing.
    pub fn ipmitool(&self, user: &str, password: &str, arguments: &[&str]) -> String {
        let out = Command::new("ipmitool")
            .args(["-I", "lan", "-H", "127.0.0.1", "-p", &self.lan.to_string(), "-U", user, "-P", password])
            .args(arguments)
            .output()
            .unwrap_or_else(|e| panic!("ipmitool: {e}; install the Debian package ipmitool"));
        // Not its exit code: the simulator does not know all that is asked for.
        [out.stdout, out.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat()
    }
}
