//! The content-addressed cache outside the repository
//! (`$XDG_CACHE_HOME/sledos`): downloads, unpacked packages, compressed blocks.
