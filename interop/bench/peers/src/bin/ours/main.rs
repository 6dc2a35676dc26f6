//! This project's server: the `bench` rig.

#[path = "../../../../../rigs/src/bin/bench.rs"]
mod bench;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    bench::main()
}
