//! `sledos inspect`: what is in an image.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;

use super::print_result;
use crate::artefacts::{Error, Image};
use crate::exit::Failure;
use crate::inspect::{self, There, treemap};

/// Arguments of `sledos inspect`.
#[derive(Args, Debug)]
pub struct InspectArgs {
    /// output/NAME/VERSION, or a disk.raw, .efi, .squashfs or initramfs.zst.
    #[arg(value_name = "IMAGE")]
    pub image: PathBuf,

    /// A file, which is printed, or a directory, which is listed: /usr/bin, initramfs:/init, esp:/EFI,
    /// uki:.cmdline.
    #[arg(value_name = "PATH")]
    pub path: Option<String>,

    /// List kernel modules and firmware, and who needs them.
    #[arg(long, conflicts_with = "path")]
    pub modules: bool,

    /// Write a map of what takes the room in /usr; FILE ends in .svg or .html.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["path", "modules"], value_parser = report)]
    pub size_report: Option<PathBuf>,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

fn report(text: &str) -> Result<PathBuf, String> {
    let file = PathBuf::from(text);
    match file.extension().and_then(|e| e.to_str()) {
        Some("svg" | "html") => Ok(file),
        _ => Err("name it FILE.svg or FILE.html".to_owned()),
    }
}

/// Runs `sledos inspect`.
pub(super) fn run_verb(args: &InspectArgs) -> Result<(), Failure> {
    let image = Image::open(&args.image)?;
    if let Some(path) = &args.path {
        return Ok(show(&image, path, args.json)?);
    }
    if args.modules {
        let modules = inspect::modules(&image)?;
        print_result(args.json, &modules);
        return Ok(());
    }
    let overview = inspect::overview(&image)?;
    if let Some(file) = &args.size_report {
        if overview.owners.is_empty() {
            return Err(image.without("files.json.zst, which says what belongs to whom").into());
        }
        let title = overview
            .image
            .as_ref()
            .map_or_else(String::new, |(name, version)| format!("/usr of {name} {version}"));
        let text = match file.extension().and_then(|e| e.to_str()) {
            Some("svg") => treemap::svg(&title, &overview.owners),
            _ => treemap::html(&title, &overview.owners),
        };
        std::fs::write(file, text).map_err(Error::io("write", file))?;
    }
    print_result(args.json, &overview);
    Ok(())
}

fn show(image: &Image, path: &str, json: bool) -> Result<(), Error> {
    let out = Path::new("standard output");
    match inspect::look(image, path)? {
        There::Files(lines) => print_result(json, &inspect::Lines(lines)),
        // As they are for a file or a program, fit to be looked at for a terminal.
        There::Bytes(bytes) if std::io::stdout().is_terminal() => {
            crate::cli::terminal::out(&String::from_utf8_lossy(&bytes));
        }
        There::Bytes(bytes) => std::io::stdout().write_all(&bytes).map_err(Error::io("write to", out))?,
    }
    Ok(())
}
