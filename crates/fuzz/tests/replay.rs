//! Every input that was ever worth keeping, and a bounded number of new ones near them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use trilane_fuzz::mutation::mutate;
use trilane_fuzz::{TARGETS, Target};

/// Mutated inputs for each target: a few seconds in all.
const MUTATIONS: usize = 3000;
/// Longest mutated input, in bytes.
const LONGEST: usize = 4096;
/// All files of the corpus together, in bytes: it is part of every clone.
const MOST_BYTES: usize = 300_000;

fn corpus(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target.name);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    files.sort();
    files
        .into_iter()
        .map(|path| (path.clone(), std::fs::read(path).expect("a readable file")))
        .collect()
}

/// Runs `input`; a failure names where it came from and shows its bytes, ready to be kept as a file.
fn run(target: &Target, input: &[u8], origin: &dyn std::fmt::Display) {
    if catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_err() {
        let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
        panic!("target {}, input {origin}: {hex}", target.name);
    }
}

#[test]
fn every_kept_input_keeps_its_promise() {
    for target in TARGETS {
        let files = corpus(target);
        assert!(!files.is_empty(), "{} has no corpus", target.name);
        for (path, input) in files {
            run(target, &input, &path.display());
        }
    }
}

#[test]
fn mutations_of_kept_inputs_keep_the_promise() {
    for target in TARGETS {
        let files = corpus(target);
        let mut random = fastrand::Rng::with_seed(1);
        for number in 0..MUTATIONS {
            let mut input = files[random.usize(0..files.len())].1.clone();
            let other = &files[random.usize(0..files.len())].1;
            mutate(&mut input, other, &mut random);
            input.truncate(LONGEST);
            run(target, &input, &format_args!("{number} of seed 1"));
        }
    }
}

#[test]
fn every_folder_of_the_corpus_has_a_target_and_all_of_them_stay_small() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name();
        assert!(TARGETS.iter().any(|target| name == target.name), "{name:?}");
    }
    let bytes: usize = TARGETS
        .iter()
        .flat_map(corpus)
        .map(|(_, input)| input.len())
        .sum();
    assert!(bytes < MOST_BYTES, "{bytes} bytes");
}
