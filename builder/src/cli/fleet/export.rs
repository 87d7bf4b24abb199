//! `sledos fleet export`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use server::export::{Exported, Format};

use super::load;
use crate::cli::terminal::complain;
use crate::fleet::Error;

/// Arguments of `sledos fleet export`.
#[derive(Args, Debug)]
pub struct ExportArgs {
    /// For which program.
    #[arg(value_enum)]
    pub format: ExportFormat,

    /// The fleet file.
    #[arg(long, value_name = "FILE", default_value = "fleet.yaml")]
    pub fleet: PathBuf,

    /// Where sleds find documents and scripts [default: the first of `servers.metadata`].
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,

    /// Firmware that boots over HTTP gets the image itself instead of iPXE. For images that
    /// trust keys by themselves (`provisioning:` in the recipe); all sleds get the same.
    #[arg(long)]
    pub uki: bool,

    /// The published directory, for nginx.
    #[arg(long, value_name = "DIR", default_value = "/srv/sledos")]
    pub root: String,
}

/// For which program.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ExportFormat {
    /// dnsmasq: boot files and names; the ranges are in its own files.
    Dnsmasq,
    /// ISC dhcpd: boot files and hosts; the subnets are in its own files.
    IscDhcpd,
    /// Kea: a configuration, to which interfaces and subnets are added.
    Kea,
    /// Ansible: an inventory with groups for roles and racks.
    Ansible,
    /// /etc/hosts.
    Hosts,
    /// nginx: a server block for a published directory.
    Nginx,
}

pub(super) fn run(args: &ExportArgs) -> Result<(), Error> {
    let format = match args.format {
        ExportFormat::Dnsmasq => Format::Dnsmasq,
        ExportFormat::IscDhcpd => Format::IscDhcpd,
        ExportFormat::Kea => Format::Kea,
        ExportFormat::Ansible => Format::Ansible,
        ExportFormat::Hosts => Format::Hosts,
        ExportFormat::Nginx => Format::Nginx,
    };
    let mut exported = Exported::new(&load(&args.fleet)?, args.url.as_deref(), &args.root);
    exported.uki = args.uki;
    let text = exported.text(format)?;
    text.notes.iter().for_each(|note| complain!("note: {note}"));
    crate::cli::terminal::out(&text.text);
    Ok(())
}
