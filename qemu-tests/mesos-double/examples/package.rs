//! Compiles the agent static and packages it: `--example package -- FILE.deb`.

use std::error::Error;

use mesos_double::deb;

fn main() -> Result<(), Box<dyn Error>> {
    let out = std::env::args().nth(1).ok_or("name the file to write")?;
    deb::package(&deb::build_static(), out.as_ref())?;
    println!("{out}: {}", mesos_double::PLAINLY);
    Ok(())
}
