//! Lines as glog writes them: `I0101 00:00:00.000000 PID slave.cpp:1] TEXT`. The time is
//! always the same; nobody looks at it.

/// Says something as the agent's main source file does.
pub(super) fn info(text: &str) {
    eprintln!("I0101 00:00:00.000000 {:>5} slave.cpp:1] {text}", std::process::id());
}
