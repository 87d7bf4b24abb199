//! `sledos serve`.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use server::http::connection::Limits;
use server::pxe::{Dnsmasq, Mode, Settings};

use crate::fleet::read_key;
use crate::output::Interrupt;
use crate::serve::{Error, FleetOnDisk, OPERATOR_FILE, freshness_key, operator_token, raise_open_files};

/// Arguments of `sledos serve`.
#[derive(Args, Debug)]
pub struct ServeArgs {
    /// The fleet file. It is watched: a change is compiled and handed out at once.
    #[arg(long, value_name = "FILE", default_value = "fleet.yaml")]
    pub fleet: PathBuf,

    /// Directory of images, as `sledos build` fills it; served at /images.
    #[arg(long, value_name = "DIR", default_value = "output")]
    pub images: PathBuf,

    /// The secret key that signs documents.
    #[arg(long, value_name = "FILE", required_unless_present = "documents")]
    pub key: Option<PathBuf>,

    /// The password of the key: the first line of this file.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,

    /// The secret key that says to sleds that their documents are the newest. It is online and
    /// signs nothing else [default: STATE/freshness.key, which is made].
    #[arg(long, value_name = "FILE")]
    pub freshness_key: Option<PathBuf>,

    /// Hand out the documents in DIR/v1, compiled elsewhere, instead of compiling.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["fleet", "key", "password_file"])]
    pub documents: Option<PathBuf>,

    /// Directory for what the server keeps: states and history, compiled documents, tokens.
    #[arg(long, value_name = "DIR", default_value = "serve")]
    pub state: PathBuf,

    /// Address to listen on.
    #[arg(long, value_name = "IP", default_value = "0.0.0.0")]
    pub address: IpAddr,

    /// Port to listen on; 0 takes any free one. Which it is, is printed.
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    pub port: u16,

    /// Speak TLS with this certificate chain, a PEM file.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// The key of the certificate, a PEM file.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// A name by which sleds and browsers ask this server, besides its addresses, this machine's
    /// name, and those in the fleet file's `servers`; may be given more than once.
    #[arg(long, value_name = "NAME")]
    pub host: Vec<String>,

    /// Connections that one address may have at once; behind a NAT or a cache many sleds have one.
    #[arg(long, value_name = "N", default_value_t = 512)]
    pub connections_per_address: usize,

    /// Run dnsmasq on this interface: sleds boot from it over PXE. Beside another DHCP server,
    /// unless --pxe-range is given. Needs root, and Debian's packages dnsmasq-base and ipxe.
    #[arg(long, value_name = "IFACE", conflicts_with = "tls_cert")]
    pub pxe: Option<String>,

    /// Give addresses, from FIRST to LAST: no other DHCP server is there.
    #[arg(long, value_name = "FIRST,LAST", requires = "pxe", value_parser = range)]
    pub pxe_range: Option<(Ipv4Addr, Ipv4Addr)>,

    /// The address of this server there [default: the interface's first].
    #[arg(long, value_name = "IP", requires = "pxe")]
    pub pxe_address: Option<Ipv4Addr>,

    /// Firmware that boots over HTTP gets the image itself instead of iPXE. For images that
    /// trust keys by themselves (`provisioning:` in the recipe).
    #[arg(long, requires = "pxe")]
    pub uki: bool,

    /// A sled on its way that is not heard of for so many seconds is silent.
    #[arg(long, value_name = "SECONDS", default_value_t = 1800)]
    pub silent_after: u64,
}

/// What the command line has when nothing is given.
impl Default for ServeArgs {
    fn default() -> Self {
        Self {
            fleet: "fleet.yaml".into(),
            images: "output".into(),
            key: None,
            password_file: None,
            freshness_key: None,
            documents: None,
            state: "serve".into(),
            address: Ipv4Addr::UNSPECIFIED.into(),
            port: 8080,
            tls_cert: None,
            tls_key: None,
            host: Vec::new(),
            connections_per_address: 512,
            pxe: None,
            pxe_address: None,
            pxe_range: None,
            uki: false,
            silent_after: 1800,
        }
    }
}

fn range(text: &str) -> Result<(Ipv4Addr, Ipv4Addr), String> {
    let range =
        text.split_once(',').and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
    let range = range.filter(|(first, last): &(Ipv4Addr, Ipv4Addr)| first <= last);
    range.ok_or_else(|| "not two addresses, like 10.0.0.100,10.0.0.200".to_owned())
}

/// What this machine is called, alone and with its domain, if it has one.
fn own_name() -> Vec<String> {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let short = name.split('.').next().unwrap_or_default().to_owned();
    vec![short, name]
}

/// Below the state directory: what firmware gets, over HTTP and TFTP.
const PXE: &str = "pxe/tftp";

/// Starts dnsmasq for a server on this port.
fn pxe(args: &ServeArgs, interface: &str, port: u16) -> Result<Dnsmasq, Error> {
    let address = match args.pxe_address {
        Some(address) => address,
        None => server::pxe::address_of(interface)?,
    };
    let settings = Settings {
        interface: interface.to_owned(),
        address,
        mode: args.pxe_range.map_or(Mode::Proxy, |(first, last)| Mode::Full(first, last)),
        // dnsmasq does not stay where it was started.
        dir: std::path::absolute(args.state.join("pxe")).map_err(Error::io("find", &args.state))?,
        url: format!("http://{address}:{port}"),
        uki: args.uki,
    };
    Ok(Dnsmasq::start(&settings)?)
}

pub(super) fn run(args: &ServeArgs) -> Result<(), Error> {
    let interrupt = Interrupt::on_signals().map_err(Error::Signals)?;
    crate::output::own::make(&args.state).map_err(Error::io("create", &args.state))?;
    // Its token lets somebody change what the key signs.
    crate::output::check_own(&args.state)?;
    raise_open_files();
    let compiled = args.state.join("www");
    let (freshness, freshness_file) = freshness_key(&args.state, args.freshness_key.as_deref())?;
    let public = freshness.public().clone();
    let fleet = match (&args.documents, &args.key) {
        (None, Some(key)) => {
            let signer = read_key(key, args.password_file.as_deref())?;
            let pxe = args.state.join(PXE);
            let (file, images) = (&args.fleet, &args.images);
            let fleet = FleetOnDisk::new(file, images, signer, public.clone(), &compiled, &pxe, super::now);
            Some(Box::new(fleet) as Box<dyn server::Fleet>)
        }
        _ => None,
    };
    let running = server::start(server::Config {
        listen: SocketAddr::new(args.address, args.port),
        tls: args.tls_cert.clone().zip(args.tls_key.clone()),
        documents: args.documents.clone().unwrap_or(compiled),
        images: args.images.clone(),
        pxe: args.state.join(PXE),
        store: args.state.join("state.redb"),
        operator: operator_token(&args.state)?,
        freshness: Some(freshness),
        names: args.host.iter().cloned().chain(own_name()).collect(),
        fleet,
        limits: Limits { per_address: args.connections_per_address, ..Limits::default() },
        silent: Duration::from_secs(args.silent_after),
        log: Box::new(|line| drop(writeln!(std::io::stderr(), "{line}"))),
    })?;
    let mut dnsmasq = match &args.pxe {
        None => None,
        Some(interface) => Some(pxe(args, interface, running.address.port())?),
    };
    let scheme = if args.tls_cert.is_some() { "https" } else { "http" };
    // Who started it may wait for this line; that he has gone away is no error.
    let mut out = std::io::stdout();
    let token = args.state.join(OPERATOR_FILE);
    let _ =
        writeln!(out, "listening on {scheme}://{}\noperator's token: {}", running.address, token.display());
    let _ = writeln!(out, "key for freshness: {} ({})", public.as_str(), freshness_file.display());
    let _ = out.flush();
    while !interrupt.is_set() {
        std::thread::sleep(Duration::from_millis(100));
        if let Some(ended) = dnsmasq.as_mut().and_then(Dnsmasq::ended) {
            return Err(Error::Ended(ended));
        }
    }
    drop(running);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: ServeArgs,
    }

    #[test]
    fn the_defaults_are_those_of_the_command_line() {
        let line = Line::try_parse_from(["serve", "--key", "ops.key"]).unwrap();
        let default = ServeArgs { key: Some("ops.key".into()), ..ServeArgs::default() };
        assert_eq!(format!("{:?}", line.args), format!("{default:?}"));
    }
}
