//! A machine in memory that the real code runs in: disks whose power is cut, firmware
//! that starts a disk or the network, servers that come and go, documents that change.
//! Everything PID 1 does about images is the code of a real boot; the model is what is
//! around it.

mod disk;
mod firmware;
mod machine;
mod promises;
mod story;
