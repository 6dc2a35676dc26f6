//! Runs fuzz bodies under the stable compiler, on seeds and on mutations of seeds.
//!
//! A body is a function that takes bytes and panics if a property does not hold.

#![allow(clippy::panic, reason = "a violated property fails the test")]

mod node;

use std::{
    cell::Cell,
    future::Future,
    hash::{BuildHasher, RandomState},
    panic,
    pin::Pin,
    sync::Once,
    task::{Context, Poll},
    time::{Duration, Instant},
};

pub use node::NodeParser;

/// The longest input in bytes. Longer ones reach no more code, and take longer.
pub const MAX_INPUT: usize = 4096;

thread_local! {
    static PANICS: Cell<u32> = const { Cell::new(0) };
}

/// Runs a body on every seed, then on `rounds` mutations of seeds from a fixed generator.
///
/// Further seeds are the inputs that a fuzzer has found and that the package keeps in
/// `tests/corpus/NAME.txt`, one per line.
///
/// If the environment variable `FUZZ_SECONDS` is set, the body runs for that many seconds, on
/// mutations from a random generator. Prints the number of executions and their rate.
///
/// With `--cfg fuzzing` and the variable `LIBFUZZER_ARGS`, libFuzzer runs the body instead, and ends
/// the process. The seeds are written to the folder `LIBFUZZER_SEEDS`.
///
/// # Panics
///
/// Panics if the body or a task on the same thread does. Prints the input first.
pub fn run(name: &str, rounds: u64, seeds: &[Vec<u8>], mut body: impl FnMut(&[u8])) {
    // Comparisons with Node are not guided by coverage. They begin with what the guided target found.
    let found = corpus(name.strip_prefix("node_").unwrap_or(name));
    let seeds = [seeds, &found].concat();
    let seeds = &seeds[..];
    #[cfg(fuzzing)]
    if let Ok(args) = std::env::var("LIBFUZZER_ARGS") {
        write_seeds(seeds);
        libfuzzer::run(args.lines().map(String::from), body);
    }
    count_panics();
    let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    let start = Instant::now();
    let end = seconds.map(|seconds| start + Duration::from_secs(seconds));
    let mut execute = |input: &[u8]| {
        let before = PANICS.get();
        let result = panic::catch_unwind(panic::AssertUnwindSafe(|| body(input)));
        if result.is_err() || PANICS.get() != before {
            println!("{name}: the input is b\"{}\"", input.escape_ascii());
            match result {
                Err(panic) => panic::resume_unwind(panic),
                Ok(()) => panic!("{name}: a task panicked"),
            }
        }
    };
    seeds.iter().for_each(|seed| execute(seed));
    let mut random = Random(match end {
        None => 0x9e37_79b9_7f4a_7c15,
        Some(_) => RandomState::new().hash_one(name),
    });
    let (mut input, mut round) = (Vec::new(), 0);
    while end.map_or(round < rounds, |end| Instant::now() < end) {
        random.derive(&mut input, seeds);
        execute(&input);
        round += 1;
    }
    let executions = round + seeds.len() as u64;
    let seconds = start.elapsed().as_secs_f64().max(0.001);
    let rate = executions as f64 / seconds;
    println!("{name}: {executions} executions in {seconds:.1} s, {rate:.0} per second");
}

/// Returns the corpus that the package keeps: lines of escaped bytes.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let text = std::fs::read_to_string(format!("{folder}/tests/corpus/{name}.txt"));
    text.unwrap_or_default().lines().map(unescape).collect()
}

/// Writes the inputs with which libFuzzer begins.
#[cfg(fuzzing)]
fn write_seeds(seeds: &[Vec<u8>]) {
    let Some(folder) = std::env::var_os("LIBFUZZER_SEEDS").map(std::path::PathBuf::from) else {
        return;
    };
    for (number, seed) in seeds.iter().enumerate() {
        let _ = std::fs::write(folder.join(format!("seed-{number}")), seed);
    }
}

/// Reverses [`slice::escape_ascii`].
pub fn unescape(line: &str) -> Vec<u8> {
    let mut bytes = line.bytes();
    let mut output = Vec::with_capacity(line.len());
    while let Some(byte) = bytes.next() {
        let next = if byte == b'\\' { bytes.next() } else { None };
        output.push(match next {
            None => byte,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'x') => {
                let mut digit = || {
                    let digit = bytes.next().and_then(|byte| char::from(byte).to_digit(16));
                    digit.unwrap_or_default() as u8
                };
                digit() << 4 | digit()
            }
            Some(other) => other,
        });
    }
    output
}

/// Counts the panics of each thread. The runtime catches the panics of tasks, so the body does not
/// see them.
fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PANICS.set(PANICS.get() + 1);
            report(info);
        }));
    });
}

/// Returns sequences of random bytes from a fixed generator, as seeds of a body that runs operations.
pub fn sequences(count: usize, max_len: usize) -> Vec<Vec<u8>> {
    let mut random = Random(1);
    let mut sequence = || (0..random.below(max_len)).map(|_| random.next() as u8).collect();
    (0..count).map(|_| sequence()).collect()
}

/// Splits an input at each byte 0xfe, which is rare in all formats. The byte after it is the first
/// of the pair; the first piece has 0.
pub fn pieces(input: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    input.split(|byte| *byte == 0xfe).enumerate().map(|(index, piece)| match piece.split_first() {
        Some((first, rest)) if index > 0 => (*first, rest),
        _ => (0, piece),
    })
}

/// A future that panics if it is polled more often than `left`. A paused clock stands still as
/// long as a task wakes itself, so a deadline would not find such a task.
#[derive(Debug)]
pub struct PollLimit<F> {
    future: Pin<Box<F>>,
    left: u32,
}

impl<F: Future> PollLimit<F> {
    /// Allows `polls` polls.
    pub fn new(polls: u32, future: F) -> Self {
        Self { future: Box::pin(future), left: polls }
    }
}

impl<F: Future> Future for PollLimit<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        match self.left.checked_sub(1) {
            Some(left) => self.left = left,
            None => panic!("a task is polled without end"),
        }
        self.future.as_mut().poll(cx)
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// Any byte. Bytes with a meaning in the protocols are more frequent.
    fn byte(&mut self) -> u8 {
        const SPECIAL: &[u8] = b"\0\x01\x02\x04\x0f\x1e\x7e\x7f\x80\x81\x82\x88\xc1\xfe\xff0123456789b:;,=&%\"[]{}\\-/eu\r\n ";
        let any = self.next();
        match any & 0x100 {
            0 => any as u8,
            _ => SPECIAL.get(self.below(SPECIAL.len())).copied().unwrap_or_default(),
        }
    }

    /// Writes a mutation of one of the seeds.
    fn derive(&mut self, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let empty = Vec::new();
        input.clear();
        input.extend(seeds.get(self.below(seeds.len())).unwrap_or(&empty));
        for _ in 0..=self.below(4) {
            let at = self.below(input.len() + 1);
            match self.below(8) {
                0 => input.truncate(at),
                1 | 2 => input.insert(at, self.byte()),
                3 if at < input.len() => drop(input.remove(at)),
                4 if at < input.len() => {
                    let end = (at + self.below(16)).min(input.len());
                    input.drain(at..end);
                }
                5 => {
                    // Repeats a part of the input.
                    let end = (at + self.below(64)).min(input.len());
                    input.extend_from_within(at..end);
                }
                6 => {
                    let other = seeds.get(self.below(seeds.len())).unwrap_or(&empty);
                    let from = self.below(other.len() + 1);
                    let to = from + self.below(other.len() - from + 1);
                    input.splice(at..at, other.iter().copied().take(to).skip(from));
                }
                _ => {
                    let byte = self.byte();
                    if let Some(changed) = input.get_mut(at) {
                        *changed = byte;
                    }
                }
            }
        }
        input.truncate(MAX_INPUT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_split_at_each_mark() {
        let found: Vec<_> = pieces(b"a\xfe1b\xfe\xfe2").collect();
        assert_eq!(found, [(0, &b"a"[..]), (b'1', b"b"), (0, b""), (b'2', b"")]);
    }

    #[test]
    fn lines_of_the_corpus_contain_any_byte() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(unescape(&all.escape_ascii().to_string()), all);
    }

    #[test]
    #[should_panic(expected = "without end")]
    fn a_future_that_wakes_itself_is_found() {
        let mut future = PollLimit::new(3, std::future::pending::<()>());
        let mut cx = Context::from_waker(std::task::Waker::noop());
        for _ in 0..4 {
            let _ = Pin::new(&mut future).poll(&mut cx);
        }
    }

    #[test]
    #[should_panic(expected = "found")]
    fn a_body_sees_mutations_of_its_seeds() {
        run("seeds", 1000, &[b"ab".to_vec()], |input| assert!(!input.ends_with(b"bab"), "found"));
    }

    #[test]
    #[should_panic(expected = "a task panicked")]
    fn a_caught_panic_of_the_same_thread_fails_the_body() {
        run("caught", 1, &[], |_| {
            let _ = panic::catch_unwind(|| panic::panic_any("nothing"));
        });
    }
}
