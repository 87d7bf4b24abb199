//! What comes from sources that fail.

use super::*;
use proptest::prelude::*;

/// Streams /usr into memory.
fn stream(image: &Image, files: &Files) -> Result<Vec<u8>, Error> {
    let log = log();
    let tree = stream::tree(files, image, &log)?;
    let mut got = Vec::new();
    stream::usr(files, &image.usr, &tree, 0, &log, &mut |at, bytes| {
        assert_eq!(at, got.len() as u64, "in order, without gaps");
        got.extend_from_slice(bytes);
        Ok(())
    })?;
    Ok(got)
}

#[test]
fn a_broken_connection_goes_on_at_the_last_whole_block() {
    let (image, files) = image("1", 300);
    let files = files.with(&[Fault::None, Fault::Break(10_000), Fault::End(4096), Fault::Break(0)]);
    assert!(stream(&image, &files).unwrap() == files.files["usr.squashfs"]);
    assert_eq!(files.asked_of("usr.squashfs"), [0, 8192, 12_288, 12_288]);
}

#[test]
fn a_flipped_bit_is_refused_at_its_block_and_never_written() {
    let (image, files) = image("1", 300);
    let files = files.with(&[Fault::None, Fault::Flip(70 * 4096 + 17), Fault::Flip(0)]);
    assert!(stream(&image, &files).unwrap() == files.files["usr.squashfs"]);
    assert_eq!(files.asked_of("usr.squashfs"), [0, 70 * 4096, 70 * 4096]);
}

#[test]
fn a_damaged_tree_is_fetched_again_from_the_start() {
    let (image, files) = image("1", 300);
    let files = files.with(&[Fault::Break(5000), Fault::Flip(100), Fault::None]);
    assert!(stream(&image, &files).is_ok());
    assert_eq!(files.asked_of("usr.verity"), [0, 5000, 0]);
}

#[test]
fn a_usr_that_does_not_fill_its_last_block_is_padded() {
    let (image, files) = of_usr("1", vec![5; 3 * 4096 + 100]);
    let got = stream(&image, &files).unwrap();
    assert_eq!(got.len(), 4 * 4096);
    assert!(got[..3 * 4096 + 100] == files.files["usr.squashfs"] && got[3 * 4096 + 100..] == [0; 3996]);
}

#[test]
fn other_sizes_than_the_document_says_are_refused_before_anything_is_written() {
    let (good, files) = image("1", 300);
    let changes: [fn(&mut Image); 3] =
        [|i| i.usr.size += 4096 * 200, |i| i.verity.size -= 1, |i| i.usr.size = 0];
    for change in changes {
        let mut bad = good.clone();
        change(&mut bad);
        assert!(matches!(stream(&bad, &files), Err(Error::Document(_))));
    }
    // The tree of another image: as large, and not the one.
    let mut other = good.clone();
    other.root_hash.0[0] ^= 1;
    let files = files.with(&[Fault::None, Fault::None, Fault::GiveUp]);
    let error = stream(&other, &files).unwrap_err();
    assert_eq!(error.to_string(), "usr.verity cannot be had: no server answers");
    assert!(files.asked_of("usr.squashfs").is_empty());
}

#[test]
fn a_source_without_progress_is_named() {
    let (image, files) = image("1", 3);
    let mut faults = vec![Fault::None];
    faults.extend([Fault::Flip(4096 + 5)]);
    faults.extend([Fault::Flip(9); 8]);
    faults.push(Fault::GiveUp);
    let files = files.with(&faults);
    let log = log();
    let tree = stream::tree(&files, &image, &log).unwrap();
    let error = stream::usr(&files, &image.usr, &tree, 0, &log, &mut |_, _| Ok(())).unwrap_err();
    assert_eq!(error.to_string(), "usr.squashfs cannot be had: no server answers");
    let warnings: Vec<_> = log.entries().into_iter().map(|e| e.detail).collect();
    assert_eq!(
        warnings,
        ["usr.squashfs: no progress at byte 4096 after 8 tries: block 1 does not match the root hash"]
    );
}

#[test]
fn what_is_there_is_counted_to_the_first_wrong_block() {
    let (image, files) = image("1", 200);
    let tree = stream::tree(&files, &image, &log()).unwrap();
    for wrong in [0, 1, 63, 64, 199, 200] {
        let mut bytes = files.files["usr.squashfs"].clone();
        if let Some(byte) = bytes.get_mut(wrong * 4096 + 7) {
            *byte ^= 1;
        }
        let read = |at: u64, buffer: &mut [u8]| {
            let at = usize::try_from(at).unwrap();
            buffer.copy_from_slice(&bytes[at..at + buffer.len()]);
            Ok(())
        };
        assert_eq!(tree.good_blocks(&read), wrong as u64);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn whatever_breaks_the_bytes_are_right_in_the_end(
        blocks in 1..200_usize,
        faults in prop::collection::vec((0..4_usize, 0..900_000_usize), 0..12),
    ) {
        let (image, files) = image("1", blocks);
        let faults: Vec<_> = faults
            .into_iter()
            .map(|(kind, at)| [Fault::None, Fault::Break(at), Fault::End(at), Fault::Flip(at)][kind])
            .collect();
        let files = files.with(&faults);
        prop_assert!(stream(&image, &files).unwrap() == files.files["usr.squashfs"]);
    }
}
