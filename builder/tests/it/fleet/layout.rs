//! `layout:` of a recipe, on its way to a sled that installs the image itself.

use std::fs;

use metadata::document::{Document, Image, SledDocument, Wipe};
use sledos::image::ImagePlan;
use sledos::image::manifest::{Manifest, Partition};
use sledos_init::slots::classify::State;
use sledos_init::slots::device::Device;
use sledos_init::slots::plan::{Ids, Plan, Slots};

use super::support::Case;

const VERSION: &str = "20261124.0800";

/// Puts the partitions of a recipe with this `layout:` into the image's manifest.
fn build(case: &Case, layout: &str) -> ImagePlan {
    let file = case.path("recipe.yaml");
    fs::write(&file, format!("name: compute\ndebian: {{suite: bookworm}}\n{layout}")).unwrap();
    let recipe = sledos::recipe::load(&file).unwrap();
    let plan = ImagePlan::new(&recipe, VERSION, 1_700_000_000).unwrap();
    let path = case.path("output/compute").join(VERSION).join("manifest.json");
    let mut manifest: Manifest = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    manifest.partitions = plan.table.partitions.iter().map(|p| Partition::of(p, 0)).collect();
    fs::write(&path, manifest.to_json()).unwrap();
    case.sums(VERSION);
    plan
}

/// The image of a sled's document.
fn image(case: &Case) -> Image {
    case.compile(1_800_000_000, &[]);
    let bytes = fs::read(case.path("www/v1/location/r12/1.json")).unwrap();
    let Ok(Document::Sled(sled)) = Document::parse(&bytes) else { panic!("no document of a sled") };
    let SledDocument { image, .. } = *sled;
    image
}

/// Names and sizes of the partitions that PID 1 makes on a disk of 100 GB.
fn installed(image: &Image) -> Vec<(String, u64)> {
    let disk = Device {
        name: "sda".into(),
        path: "pci0000:00/ata1".into(),
        bytes: 100_000_000_000,
        sector: 512,
        model: String::new(),
        serial: String::new(),
        wwn: String::new(),
        transport: "sata",
        rotational: false,
        bay: None,
        in_use: false,
        state: State::Blank,
    };
    let mut ids = Ids { random: [[0; 16]; 12] };
    (1..).zip(&mut ids.random).for_each(|(n, id)| *id = [n; 16]);
    let plan = Plan::new(&disk, Wipe::Never, image, &Slots::default(), None, &ids, 0).unwrap();
    plan.table.partitions.into_iter().map(|p| (p.name, p.size)).collect()
}

#[test]
fn the_layout_of_a_recipe_is_that_of_a_sled_that_installs_itself() {
    let case = Case::new();
    for layout in [
        "",
        "layout: {esp: 200MiB, usr: 1GiB, verity: 9MiB, oem: 32MiB, root: 3GiB}\n",
        "layout: {usr: 300MiB, verity: 3MiB}\n",
    ] {
        let built = build(&case, layout);
        let built: Vec<_> = built.table.partitions.into_iter().map(|p| (p.name, p.size)).collect();
        let installed = installed(&image(&case));
        let ((root, size), rest) = installed.split_last().unwrap();
        assert_eq!(rest, &built[..6], "{layout}");
        assert!(root == "ROOT" && *size > 90_000_000_000, "{size}");
    }
}

#[test]
fn a_manifest_without_a_partition_is_named() {
    let case = Case::new();
    build(&case, "");
    let path = case.path("output/compute").join(VERSION).join("manifest.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"USR-A-VERITY\"", "\"USR-C\"")).unwrap();
    case.sums(VERSION);
    let compile = ["fleet", "compile", "--key", "ops.key", "--output", "www"];
    case.fails(&compile, 3, "lists no partition USR-A-VERITY");
}
