//! `sledos keys`: keys that sign documents.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::cli::terminal::{complain, say};
use crate::exit::Failure;
use crate::fleet::{self, Error};
use metadata::fleet::sign;

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum KeysVerb {
    /// Make a key pair: NAME.key signs, NAME.pub is for images and the fleet file.
    New(NewArgs),
    /// Print the public half of a secret key, as the fleet file has it: of a server's
    /// STATE/freshness.key for `freshness: {keys: […]}`.
    Public(PublicArgs),
}

/// Arguments of `sledos keys public`.
#[derive(Args, Debug)]
pub struct PublicArgs {
    /// The secret key.
    #[arg(value_name = "FILE")]
    pub key: PathBuf,

    /// The password of the key: the first line of this file.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

/// Arguments of `sledos keys new`.
#[derive(Args, Debug)]
pub struct NewArgs {
    /// Path of the two files, without their endings.
    #[arg(value_name = "NAME")]
    pub name: PathBuf,

    /// Encrypt the secret key with the password in the first line of this file.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

/// Runs `sledos keys …`.
pub(super) fn run_verb(verb: &KeysVerb) -> Result<(), Failure> {
    match verb {
        KeysVerb::New(args) => new(args)?,
        KeysVerb::Public(args) => {
            let signer = fleet::read_key(&args.key, args.password_file.as_deref())?;
            say!("{}", signer.public().as_str());
        }
    }
    Ok(())
}

fn new(args: &NewArgs) -> Result<(), Error> {
    let password = args.password_file.as_deref().map(fleet::read_password).transpose()?;
    let with = |ending: &str| {
        let mut path = args.name.clone().into_os_string();
        path.push(ending);
        PathBuf::from(path)
    };
    let (secret, public) = (with(".key"), with(".pub"));
    let name = args.name.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let key = sign::new_key(&name, password.as_deref())
        .map_err(|source| Error::Key { path: secret.clone(), source })?;
    // An old public key is not to lie beside a new secret one.
    if public.exists() {
        let source = std::io::ErrorKind::AlreadyExists.into();
        return Err(Error::Io { doing: "create", path: public, source });
    }
    fleet::new_file(&secret, &key.secret, 0o600)?;
    fleet::new_file(&public, &key.public, 0o644)?;
    tell(&secret, &public, &key.line, password.is_some());
    Ok(())
}

fn tell(secret: &Path, public: &Path, line: &str, encrypted: bool) {
    say!("{}  keep it: who has it tells sleds what to be", secret.display());
    say!("{}  the public half", public.display());
    say!("\nfor `trust:` in the fleet file, and for the images:\n  {line}");
    if !encrypted {
        complain!("warning: {} is not encrypted; --password-file makes one that is", secret.display());
    }
}
