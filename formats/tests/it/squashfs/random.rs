//! Random trees.

use std::collections::BTreeMap;

use formats::squashfs::Options;
use formats::tree::{Kind, Node, Tree, TreePath};
use proptest::prelude::*;

use super::judge::compare;
use super::{image, noise, package, text};

fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = any::<u8>().prop_map(|byte| if byte == 0 || byte == b'/' { b'_' } else { byte });
    prop::collection::vec(byte, 1..40).prop_filter("a name", |name| name != b"." && name != b"..")
}

fn kind() -> impl Strategy<Value = Kind> {
    let bytes = (0usize..20_000, any::<u64>(), 0..3).prop_map(|(len, seed, how)| match how {
        0 => noise(len, seed % 5),
        1 => text(len, seed),
        _ => vec![0; len],
    });
    prop_oneof![
        6 => bytes.prop_map(|bytes| Kind::File(formats::tree::Content::from_bytes(bytes))),
        3 => Just(Kind::Dir),
        // The target of a link is chosen when the files are known.
        2 => Just(Kind::Hardlink(TreePath::root())),
        1 => name().prop_map(Kind::Symlink),
        1 => (0u32..4096, 0u32..1 << 20).prop_map(|(major, minor)| Kind::CharDev { major, minor }),
        1 => (0u32..4096, 0u32..1 << 20).prop_map(|(major, minor)| Kind::BlockDev { major, minor }),
        1 => Just(Kind::Fifo),
    ]
}

fn node() -> impl Strategy<Value = Node> {
    let attribute =
        (prop_oneof!["trusted", "security"], "[a-z.]{1,20}", prop::collection::vec(any::<u8>(), 0..50));
    let set = prop::collection::vec(attribute, 0..3).prop_map(|all| {
        let named =
            |(space, name, value): (String, String, _)| (format!("{space}.{name}").into_bytes(), value);
        all.into_iter().map(named).collect::<BTreeMap<_, _>>()
    });
    let xattrs = prop_oneof![3 => Just(BTreeMap::new()), 1 => set];
    let origin = prop::sample::select(vec!["a", "b", "c"]);
    (kind(), 0u16..0o10000, 0u32..5, any::<u32>(), xattrs, origin).prop_map(
        |(kind, mode, uid, gid, xattrs, origin)| {
            // Owner -1 means "leave it" to chown(2), so nobody can have it.
            let gid = gid.min(u32::MAX - 1);
            Node { kind, mode, uid, gid, xattrs, origin: package(origin) }
        },
    )
}

/// Each node goes into one of the directories there are by then.
fn tree() -> impl Strategy<Value = Tree> {
    prop::collection::vec((name(), node(), any::<prop::sample::Index>()), 0..120).prop_map(|nodes| {
        let mut tree = Tree::new(Node::dir(package("a")));
        for (name, mut node, place) in nodes {
            let dirs: Vec<_> =
                tree.iter().filter(|(_, node)| node.is_dir()).map(|(path, _)| path.clone()).collect();
            let at = place.get(&dirs).join(&name).unwrap();
            if let Kind::Hardlink(target) = &mut node.kind {
                let files: Vec<_> = tree
                    .iter()
                    .filter(|(_, node)| matches!(node.kind, Kind::File(_)))
                    .map(|(path, _)| path)
                    .collect();
                if files.is_empty() {
                    continue;
                }
                *target = (*place.get(&files)).clone();
            }
            if tree.get(&at).is_none() {
                tree.insert(at, node).unwrap();
            }
        }
        tree
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn random_trees_come_back(tree in tree(), log in 12u32..=20, level in 1..=22) {
        let options = Options { block_size: 1 << log, level, mtime: 1_000_000_000 };
        compare(&tree, &options, &image(&tree, &options).0);
    }
}
