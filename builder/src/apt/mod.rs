//! Debian archives: sources, signed releases, package indices, resolution, download.
