//! `freshness` and `lifetime` of fleet and roles, in documents.

use super::compile::{Tree, signer};
use super::{edited, lines, source};
use metadata::document::{Document, Freshness, SledDocument};
use metadata::fleet::check;
use metadata::fleet::sign::{Signer, new_key};
use metadata::signature::TrustedKey;

const NOW: u64 = 1_790_000_000;
const DAY: u64 = 86_400;
const COMPUTE: &str = "v1/location/r12/2.json";
const STORAGE: &str = "v1/location/r13/2.json";

fn sled(tree: &Tree, path: &str) -> SledDocument {
    let Document::Sled(sled) = tree.document(path) else { panic!("{path}") };
    *sled
}

fn key() -> TrustedKey {
    Signer::parse(&new_key("online", None).unwrap().secret, None).unwrap().public().clone()
}

fn says(keys: &[&TrustedKey], required: bool) -> Option<Freshness> {
    Some(Freshness { keys: keys.iter().map(|k| k.as_str().to_owned()).collect(), required })
}

#[test]
fn a_role_says_more_than_the_fleet_and_who_compiles_adds_its_key() {
    let (a, b, own) = (key(), key(), key());
    let rule = format!("freshness: {{keys: [{}], required: true}}\nlifetime: 90d", a.as_str());
    let text = edited("lifetime: 90d", &rule);
    let role = format!("image: compute\n    freshness: {{required: false, keys: [{}]}}", b.as_str());
    let text = text.replacen("image: compute", &role, 1);
    let mut tree = Tree::default();
    let plan = tree.compile(&text, NOW, 1);
    assert_eq!(plan.fresh_only, 2, "those of the role storage");
    assert_eq!(sled(&tree, COMPUTE).freshness, says(&[&b], false));
    assert_eq!(sled(&tree, STORAGE).freshness, says(&[&a], true));

    let mut tree = Tree::default();
    tree.compile_as(&text, NOW, 1, Some(&own));
    assert_eq!(sled(&tree, COMPUTE).freshness, says(&[&b, &own], false));
    assert_eq!(sled(&tree, STORAGE).freshness, says(&[&a, &own], true));
    // One that is named is named once.
    tree.compile_as(&text, NOW, 1, Some(&a));
    assert_eq!(sled(&tree, STORAGE).freshness, says(&[&a], true));
    // Scripts hand it on to sleds that lost everything.
    let script =
        |mac: &str| String::from_utf8_lossy(&tree.0[&format!("v1/ipxe/mac/{mac}.ipxe")]).into_owned();
    assert!(!script("52-54-00-12-00-02").contains("sledos.freshness"));
    let text = edited("lifetime: 90d", &rule);
    let mut tree = Tree::default();
    tree.compile(&text, NOW, 1);
    let script = String::from_utf8_lossy(&tree.0["v1/ipxe/mac/52-54-00-12-00-02.ipxe"]).into_owned();
    assert!(script.contains(" sledos.freshness=required "), "{script}");
}

#[test]
fn without_it_a_document_says_nothing() {
    let mut tree = Tree::default();
    let plan = tree.compile(super::FLEET, NOW, 1);
    assert_eq!((sled(&tree, COMPUTE).freshness, plan.fresh_only), (None, 0));
    assert!(!String::from_utf8_lossy(&tree.0[COMPUTE]).contains("freshness"));
}

#[test]
fn a_lifetime_is_the_roles_the_fleets_or_that_of_where_the_sled_runs() {
    let lifetimes = |text: &str| {
        let mut tree = Tree::default();
        tree.compile(text, NOW, 1);
        [COMPUTE, STORAGE].map(|path| (sled(&tree, path).head.expires - NOW) / DAY)
    };
    assert_eq!(lifetimes(&edited("lifetime: 90d\n", "")), [14, 90]);
    assert_eq!(lifetimes(&edited("lifetime: 90d\n", "lifetime: 30d\n")), [30, 30]);
    let short = edited("image: compute\n", "image: compute\n    lifetime: 2d\n");
    assert_eq!(lifetimes(&short), [2, 90]);
}

#[test]
fn what_would_never_be_believed_or_would_sign_documents_is_a_mistake() {
    // Nobody could say it.
    let text = edited("lifetime: 90d", "freshness: {required: true}");
    let wrong = Tree::default().try_compile(&text, NOW, 1, None).unwrap_err();
    let of = |role: &str| format!("10: no sled of the role `{role}` would ever believe its document");
    assert_eq!(lines(&wrong.0), ["compute", "storage"].map(of));
    assert!(Tree::default().try_compile(&text, NOW, 1, Some(&key())).is_ok());
    let own = Tree::default().try_compile(super::FLEET, NOW, 1, Some(signer().public())).unwrap_err();
    assert!(own.0[0].message.contains("is in `trust:`, too"), "{own}");

    const TRUSTED: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    let mistakes = |rule: &str| lines(&check(&source(&edited("lifetime: 90d", rule))).errors);
    let online = mistakes(&format!("freshness: {{keys: [{TRUSTED}]}}"));
    assert_eq!(online, ["10: this key is in `trust:`, too"]);
    let many: Vec<_> = (0..9).map(|_| key().as_str().to_owned()).collect();
    let many = mistakes(&format!("freshness: {{keys: [{}]}}", many.join(", ")));
    assert_eq!(many, ["10: 9 keys: a sled looks at 8"]);
    assert_eq!(mistakes("freshness: {keys: [x]}").len(), 1);
    assert_eq!(mistakes("freshness: {required: maybe}").len(), 1);
}
