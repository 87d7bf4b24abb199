//! Compiles the agent static and packages it: `--example package -- FILE.deb [--autotools]`.

use std::error::Error;

use mesos_double::deb;

fn main() -> Result<(), Box<dyn Error>> {
    let out = std::env::args().nth(1).ok_or("name the file to write")?;
    let layout = match std::env::args().nth(2).as_deref() {
        Some("--autotools") => deb::Layout::Autotools,
        _ => deb::Layout::CMake,
    };
    deb::package(&deb::build_static(), layout, out.as_ref())?;
    println!("{out}: {}", mesos_double::PLAINLY);
    Ok(())
}
