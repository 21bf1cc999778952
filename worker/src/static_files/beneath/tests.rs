//! Both ways to open a file, over a tree with everything that might lead out of it.

use std::io::Read;

use super::*;
use crate::static_files::testing::{BAD, Dice, GOOD, INSIDE, Tree};

const WAYS: [bool; 2] = [true, false];

fn root(tree: &Tree, uses_openat2: bool) -> Root {
    let root = Root::open(&tree.root()).expect("a directory");
    assert!(root.uses_openat2, "this kernel has openat2");
    Root {
        uses_openat2,
        ..root
    }
}

fn content(root: &Root, name: &str) -> Result<String, Errno> {
    let mut file = root.open_file(name.as_bytes())?;
    if !file.metadata().expect("a file").is_file() {
        return Err(Errno::ISDIR);
    }
    let mut text = String::new();
    file.read_to_string(&mut text).expect("a text");
    Ok(text)
}

#[test]
fn links_lead_anywhere_inside_and_never_out() {
    let tree = Tree::new();
    for way in WAYS {
        let root = root(&tree, way);
        for name in GOOD {
            assert_eq!(content(&root, name).as_deref(), Ok(INSIDE), "{name} {way}");
        }
        for name in BAD {
            assert!(content(&root, name).is_err(), "{name} {way}");
        }
        for name in [
            "../outside/a.txt",
            "dir/../../outside/a.txt",
            "..",
            "/etc/passwd",
        ] {
            let opened = content(&root, name);
            assert!(opened.is_err(), "{name} {way}: {opened:?}");
        }
        assert!(!tree.was_left(), "{way}");
    }
}

#[test]
fn both_ways_agree_on_any_name() {
    let tree = Tree::new();
    let (kernel, own) = (root(&tree, true), root(&tree, false));
    let parts: Vec<&str> = GOOD
        .iter()
        .chain(&BAD)
        .copied()
        .chain([
            "..", ".", "", "dir", "deep", "root", "outside", "way", "out-dir", "parent", "slash",
        ])
        .chain([
            "etc", "passwd", "proc", "self", "a.txt", "b.txt", "\\..", "..a", ".hidden", "%2e%2e",
        ])
        .collect();
    let mut dice = Dice(7);
    for _ in 0..10_000 {
        let names = (0..=dice.throw(6)).map(|_| dice.choose(&parts));
        let name = names.collect::<Vec<_>>().join("/");
        let both = [content(&kernel, &name), content(&own, &name)];
        assert_eq!(
            both[0].as_ref().ok(),
            both[1].as_ref().ok(),
            "{name}: {both:?}"
        );
        assert!(
            both[0]
                .as_ref()
                .map_or(true, |text| text == INSIDE || text == "inside"),
            "{name}"
        );
        assert!(!tree.was_left(), "{name}");
    }
}

#[test]
fn a_fifo_is_not_waited_for() {
    let tree = Tree::new();
    for way in WAYS {
        let root = root(&tree, way);
        // A FIFO that is opened to be read waits for a writer unless it is told not to.
        let kind = root.open_file(b"fifo").map(|file| {
            let metadata = file.metadata().expect("metadata");
            assert!(!metadata.is_file());
        });
        assert!(kind.is_ok() || kind == Err(Errno::NXIO), "{kind:?}");
    }
}

#[test]
fn a_name_may_be_too_long() {
    let tree = Tree::new();
    for way in WAYS {
        let root = root(&tree, way);
        for length in [256, 4095, 4096, 5000, 100_000] {
            let opened = root.open_file("a".repeat(length).as_bytes());
            assert_eq!(opened.err(), Some(Errno::NAMETOOLONG), "{length} {way}");
        }
    }
}
