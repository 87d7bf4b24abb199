//! dnsmasq as a child of the server: it is started, watched, and ends with it.

use super::{BIOS, EFI, IPXE, Settings, configuration};
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Why there is no PXE.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program is not there.
    #[error("cannot start {program}; Debian has it in the package {package}")]
    Program {
        /// The program.
        program: &'static str,
        /// Its package.
        package: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// iPXE is not there.
    #[error("there is no {}; Debian has it in the package ipxe", .0.display())]
    NoIpxe(PathBuf, #[source] io::Error),
    /// A file cannot be written.
    #[error("cannot write {}", .0.display())]
    Write(PathBuf, #[source] io::Error),
    /// dnsmasq does not like its configuration.
    #[error("dnsmasq refuses its configuration: {0}")]
    Refused(String),
    /// The interface has no IPv4 address.
    #[error("interface {0} is not there, or has no IPv4 address")]
    NoAddress(String),
}

/// Who it is once it has its ports: it reads packets of everybody on that network. Both are in
/// every Debian (base-passwd).
const USER: &str = "nobody";
const GROUP: &str = "nogroup";

/// dnsmasq; it ends when this is dropped.
#[derive(Debug)]
pub struct Dnsmasq(Child);

impl Dnsmasq {
    /// Writes its files, and starts it. What it says goes to standard error.
    ///
    /// # Errors
    /// When dnsmasq or iPXE are missing, or it does not like what is asked of it.
    pub fn start(settings: &Settings) -> Result<Self, Error> {
        let tftp = settings.dir.join("tftp");
        fs::create_dir_all(&tftp).map_err(|e| Error::Write(tftp.clone(), e))?;
        for name in [BIOS, EFI] {
            let from = Path::new(IPXE).join(name);
            fs::copy(&from, tftp.join(name)).map_err(|e| Error::NoIpxe(from, e))?;
        }
        let config = settings.dir.join("dnsmasq.conf");
        fs::write(&config, configuration(settings)).map_err(|e| Error::Write(config.clone(), e))?;
        let option = format!("--conf-file={}", config.display());
        let missing = |source| Error::Program { program: "dnsmasq", package: "dnsmasq-base", source };
        let test = Command::new("dnsmasq").args(["--test", &option]).output().map_err(missing)?;
        if !test.status.success() {
            return Err(Error::Refused(String::from_utf8_lossy(&test.stderr).trim().to_owned()));
        }
        let child = Command::new("dnsmasq")
            .args(["--keep-in-foreground", "--log-facility=-", "--pid-file=", &option])
            .args([format!("--user={USER}"), format!("--group={GROUP}")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(missing)?;
        Ok(Self(child))
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Whether it has ended, and how: it should not.
    pub fn ended(&mut self) -> Option<String> {
        self.0.try_wait().ok().flatten().map(|status| format!("dnsmasq has ended: {status}"))
    }
}

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The first IPv4 address of an interface.
///
/// # Errors
/// When it has none, or `ip` is missing.
pub fn address_of(interface: &str) -> Result<Ipv4Addr, Error> {
    let missing = |source| Error::Program { program: "ip", package: "iproute2", source };
    let args = ["-oneline", "-4", "address", "show", "dev", interface];
    let out = Command::new("ip").args(args).output().map_err(missing)?;
    // `2: eth0    inet 10.0.2.15/24 brd … scope global eth0\ …`
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let mut words = text.split_whitespace().skip_while(|word| *word != "inet").skip(1);
    let address = words.next().and_then(|word| word.split('/').next()?.parse().ok());
    address.ok_or_else(|| Error::NoAddress(interface.to_owned()))
}
