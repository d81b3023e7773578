use std::path::Path;

/// A corpus of fewer is not the one that fuzzing left.
const LEAST: usize = 10;

/// Runs the check of a fuzz target over all inputs that fuzzing left: `fuzz/corpus`.
pub fn check_corpus(target: &str, check: impl Fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let read =
        || corpus.read_dir()?.map(|entry| std::fs::read(entry?.path())).collect::<std::io::Result<Vec<_>>>();
    let inputs = read().unwrap_or_else(|fault| panic!("{}: {fault}", corpus.display()));
    assert!(inputs.len() > LEAST, "{} is there", corpus.display());
    for input in &inputs {
        check(input);
    }
}
