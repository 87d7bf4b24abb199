//! A fleet for a test: written, and compiled with its own key into the directory that a
//! rack's server has.
//!
//! The file is a real fleet file, so a test says what a sled is told as an operator
//! would; `KEY` and `URL` in it stand for the public key and the server.

use std::fs;
use std::path::{Path, PathBuf};

use metadata::fleet::sign::{NewKey, Signer, new_key};
use yaml::diagnostic::Source;

/// A key, and the directory that is served: documents in `v1/`, images in `images/`.
#[derive(Debug)]
pub struct Fleet {
    /// The served directory.
    pub root: PathBuf,
    key: String,
    /// The public key's line, for `sledos.trust=`.
    pub public: String,
}

impl Fleet {
    /// Makes a key; `images` (`NAME/VERSION` below it) becomes `root/images`.
    ///
    /// # Panics
    /// When that fails: this is test code.
    pub fn new(root: &Path, images: &Path) -> Self {
        fs::create_dir_all(root).expect("the directory can be made");
        std::os::unix::fs::symlink(images, root.join("images")).expect("the images can be linked");
        let NewKey { secret, line, .. } = new_key("test", None).expect("there are random numbers");
        Self { root: root.to_owned(), key: secret, public: line }
    }

    /// Writes a document of the test's own making, and its signature beside it, where
    /// compiled ones are.
    ///
    /// # Panics
    /// When that fails.
    pub fn sign(&self, path: &Path, document: &[u8]) {
        let signer = Signer::parse(&self.key, None).expect("the key was made just now");
        let minisig = PathBuf::from(format!("{}{}", path.display(), metadata::layout::SIGNATURE));
        for (file, bytes) in [(path, document), (&*minisig, signer.sign(document, "test").as_bytes())] {
            // They are links to the document under the sled's other keys.
            let _ = fs::remove_file(file);
            fs::write(file, bytes).expect("it can be written");
        }
    }

    /// Compiles a fleet file as of `time` (seconds since 1970) and puts its documents into
    /// place. `url` is what sleds call the server.
    ///
    /// # Panics
    /// When the file has mistakes or an image is missing.
    pub fn compile(&self, fleet: &str, url: &str, time: u64) -> metadata::fleet::compile::Plan {
        let text = fleet.replace("KEY", &self.public).replace("URL", url);
        let mut fleet =
            metadata::fleet::load(&Source::new("fleet.yaml", text)).expect("a fleet without mistakes");
        sledos::fleet::apply_ignition(&mut fleet, &self.root.join("fleet.yaml"))
            .expect("configs without mistakes");
        let signer = Signer::parse(&self.key, None).expect("the key was made just now");
        let images = self.root.join("images");
        let done = sledos::fleet::compile_to(&fleet, &images, &signer, &self.root, time, 1);
        done.expect("the images are there").0
    }
}
