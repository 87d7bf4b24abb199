//! `/usr/bin/sledctl`: PID 1's own binary, which is that under this name.

use super::edit::Edit;
use super::{Context, Error};
use crate::build::INIT;

pub(super) fn run(edit: &mut Edit<'_>, _: &Context<'_>) -> Result<(), Error> {
    edit.write("usr/bin/sledctl", INIT, 0o755)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Fixture;
    use super::*;
    use formats::tree::Kind;

    #[test]
    fn it_is_the_binary_of_the_initramfs_and_can_be_run() {
        let mut f = Fixture::new();
        f.run(run).unwrap();
        let node = f.node("usr/bin/sledctl");
        let Kind::File(content) = &node.kind else { panic!("{:?}", node.kind) };
        assert_eq!((content.to_vec().unwrap().as_slice(), node.mode), (INIT, 0o755));
    }
}
