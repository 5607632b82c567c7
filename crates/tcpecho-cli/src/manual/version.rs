//! What `tcpecho --version` says: the program, and what it can use of this kernel.

use std::fmt::Write;

use tcpecho::ENGINES;

/// The commit that was built, and for what; build.rs finds them.
const BUILT: &str = env!("TCPECHO_BUILT");

/// Returns the lines.
pub(crate) fn long() -> String {
    let mut text = format!("tcpecho {} ({BUILT})", env!("CARGO_PKG_VERSION"));
    let kernel = rustix::system::uname();
    let _ = write!(text, "\nkernel: {}", kernel.release().to_string_lossy());
    let mut usable = Vec::new();
    let mut others = String::new();
    for engine in ENGINES {
        match engine.probe() {
            Ok(()) => usable.push(engine.name),
            Err(why) => {
                let _ = write!(others, "\nnot here: {} ({why})", engine.name);
            }
        }
    }
    let _ = write!(text, "\nengines: {}{others}", usable.join(", "));
    text.push('\n');
    text
}
