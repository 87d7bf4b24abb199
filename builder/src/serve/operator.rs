//! The operator's token: who has it may change the fleet through the server.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use super::Error;

/// Its file in the server's state directory.
pub const FILE: &str = "operator.token";

/// The token of a state directory; it is made when there is none.
///
/// # Errors
/// When it cannot be read or written.
pub fn token(state: &Path) -> Result<String, Error> {
    let path = state.join(FILE);
    match fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
        Ok(_) => fs::remove_file(&path).map_err(Error::io("replace", &path))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(Error::io("read", &path)(error)),
    }
    let mut bytes = [0; 24];
    let random = Path::new("/dev/urandom");
    fs::File::open(random)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(Error::io("read", random))?;
    let token: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    crate::fleet::new_file(&path, &format!("{token}\n"), 0o600)?;
    Ok(token)
}
